from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from cuelight.data.base.folders import find_classes, find_splits, list_classes, report_unused
from cuelight.data.finding import UnusedFiles
from cuelight.errors import DataError


def _files(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    return root


def test_split_folders_are_found_by_their_usual_names(tmp_path: Path) -> None:
    root = _files(tmp_path, "train/a/1.png", "valid/a/1.png", "test/a/1.png")

    assert find_splits(root) == {"train": root / "train", "val": root / "valid", "test": root / "test"}


def test_a_folder_of_classes_is_for_training(tmp_path: Path) -> None:
    assert find_splits(_files(tmp_path, "cat/1.png", "dog/1.png")) == {"train": tmp_path}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    root = _files(tmp_path, "car/1.png", "train/1.png")

    assert find_splits(root) == {"train": root}
    assert find_classes(root) == ["car", "train"]


def test_files_come_sorted_with_those_of_nested_folders_and_without_hidden_ones(tmp_path: Path) -> None:
    root = _files(tmp_path, "b/2.JPG", "b/10.png", "b/deep/1.webp", "b/._2.jpg", "b/notes.txt", "a/1.bmp", ".git/x.png")

    assert find_classes(root) == ["a", "b"]
    names = [[str(Path(path).relative_to(root)) for path in paths] for paths in list_classes(root, ["a", "b"])]
    assert names == [["a/1.bmp"], ["b/10.png", "b/2.JPG", "b/deep/1.webp"]]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "it contains no folders. Expected one folder per class"),
        (["1.png"], "it contains images, such as 1.png, but no folders"),
        (["val/a/1.png", "test/a/1.png"], "found test and val, but no folder train"),
        (["train/a/1.png", "val/a/1.png", "valid/1.txt"], "val and valid are both for val. Rename one, or join them"),
    ],
)
def test_a_wrong_layout_is_explained(tmp_path: Path, paths: list[str], message: str) -> None:
    root = _files(tmp_path, *paths)
    with pytest.raises(DataError, match=re.escape(message)) as error:
        find_classes(find_splits(root)["train"])
    assert str(root) in str(error.value)


def test_a_missing_folder_and_a_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        find_splits(tmp_path / "nowhere")
    (tmp_path / "data.zip").write_bytes(b"")
    with pytest.raises(DataError, match=r"data\.zip: this is a file, not a folder"):
        find_splits(tmp_path / "data.zip")


def test_an_empty_class_is_named_or_skipped(tmp_path: Path, caplog) -> None:
    root = _files(tmp_path, "full/1.png", "empty/notes.txt")
    with pytest.raises(DataError, match="no images in the class empty"):
        list_classes(root, find_classes(root))

    assert find_classes(root, "skip") == ["full"]
    assert "skipped the class empty without images" in caplog.text


def test_a_class_that_only_the_test_has_is_named_or_skipped(tmp_path: Path, caplog) -> None:
    root = _files(tmp_path, "a/1.png", "new/1.png", "newer/1.png")
    with pytest.raises(DataError, match="no training images for the classes new, newer"):
        list_classes(root, ["a", "b"])

    assert [len(paths) for paths in list_classes(root, ["a", "b"], "skip")] == [1, 0]
    assert "skipped the classes new, newer: no training images" in caplog.text


def test_a_link_to_above_is_no_class(tmp_path: Path) -> None:
    root = _files(tmp_path / "data", "ant/1.png", "bee/2.png")
    (root / "all").symlink_to("..")
    unused = UnusedFiles(root)

    assert find_classes(root) == ["ant", "bee"]
    list_classes(root, ["ant", "bee"], unused=unused)
    assert str(unused).endswith("(all)")


def test_two_classes_that_are_one_folder_are_refused(tmp_path: Path) -> None:
    root = _files(tmp_path / "data", "ant/1.png")
    (root / "bee").symlink_to("ant")
    with pytest.raises(DataError, match="the classes ant and bee are the same folder"):
        list_classes(root, find_classes(root))


def test_a_folder_that_two_classes_link_to_belongs_to_the_first(tmp_path: Path) -> None:
    root = _files(tmp_path / "data", "ant/1.png", "bee/2.png")
    _files(tmp_path, "more/3.png")
    for name in ("ant", "bee"):
        (root / name / "more").symlink_to(tmp_path / "more")
    unused = UnusedFiles(root)

    assert [len(paths) for paths in list_classes(root, ["ant", "bee"], unused=unused)] == [2, 1]
    assert str(unused).endswith("not used: 1 folder reached twice or in a circle (bee/more)")


def test_the_real_path_of_each_class_is_found_once(tmp_path: Path, monkeypatch) -> None:
    names = [f"{number:02}" for number in range(30)]
    root = _files(tmp_path, *(f"{name}/1.png" for name in names))
    calls = []
    realpath = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path: calls.append(path) or realpath(path))
    list_classes(root, names)

    assert len(calls) <= 2 * len(names)


def test_only_what_is_in_a_relative_root_is_named(tmp_path: Path, monkeypatch, caplog) -> None:
    _files(tmp_path, "data/train/1.png", "data/notes.txt", "strangers.txt")
    monkeypatch.chdir(tmp_path)
    report_unused(UnusedFiles(Path("data")), Path("data"), [tmp_path / "data" / "train"])
    assert caplog.messages == ["data: not used: 1 file of other formats (1 .txt)"]


def test_what_is_beside_the_folders_of_a_layout_is_named(tmp_path: Path, caplog) -> None:
    root = _files(
        tmp_path, "train/a/1.png", "train/2.png", "val/a/3.png", "Test/a/4.png", "5.jpg", "notes.txt", ".git/x"
    )
    unused = UnusedFiles(root)
    list_classes(root / "train", ["a"], unused=unused)
    report_unused(unused, root, [root / "train", root / "val"])

    (line,) = caplog.messages
    assert line.removeprefix(f"{root}: not used: ").split("; ") == [
        "1 file of other formats (1 .txt)",
        "2 images in no folder of the layout (train/2.png, 5.jpg)",
        "2 folders that the layout does not know (.git, Test)",
    ]
