from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from cuelight.data.datasets.image_folder import ImageFolder
from cuelight.data.datasets.image_list import ImageList
from cuelight.errors import DataError
from cuelight.runs.run import Run
from support.checks import data_problems

NAMES = ["one", "two", "zero"]
CELLS = {"one": "1,0,0", "two": "0,1,0", "zero": "0,0,1"}


def _set_up(path: Path, files: Any = "labels.csv", **params: Any) -> ImageList:
    data = ImageList(path, files, **{"size": 24, "batch_size": 4, "num_workers": 0, **params})
    data.setup()
    return data


def _lengths(data: ImageList) -> dict[str, int]:
    return {split: len(files) for split, files in data._splits.items()}


def _write(folder: Path, rows: list[str], header: str = "path,label", name: str = "labels.csv") -> None:
    (folder / name).write_text("\n".join([header, *rows]) + "\n")


def _rows(folder: Path, form: str = "{path},{label}") -> list[str]:
    paths = [path.relative_to(folder) for path in sorted(folder.rglob("*.png"))]
    return [form.format(path=path, label=path.parent.name, person=path.stem[-2:]) for path in paths]


@pytest.fixture
def folder(digit_files: Path) -> Path:
    """36 digits in three folders, and a list of them."""
    _write(digit_files, _rows(digit_files))
    return digit_files


def test_a_list_is_split_like_the_folders_that_it_lists(folder: Path) -> None:
    data, same = _set_up(folder), ImageFolder(folder, size=24)
    same.setup()

    assert data.class_names == NAMES
    assert data.fingerprint() == same.fingerprint()
    for split, files in same._splits.items():
        assert (data._splits[split].paths, data._splits[split].labels) == (files.paths, files.labels)


@pytest.mark.parametrize("sign", [",", ";", "\t", ", "])
def test_delimiters_marks_and_other_columns_do_not_matter(folder: Path, sign: str) -> None:
    rows = [f'{row.replace(",", sign)}{sign}"a note, with; signs"' for row in _rows(folder)]
    text = "\r\n".join(["", sign.join(["path", "label", "note"]), *rows, "", ""])
    (folder / "labels.csv").write_text(f"\ufeff{text}", encoding="utf-8", newline="")

    assert _lengths(_set_up(folder, val_split=0.25, test_split=0.25)) == {"train": 18, "val": 9, "test": 9}


def test_a_column_says_the_split(folder: Path) -> None:
    names = ["train"] * 8 + ["Valid"] * 2 + ["validation", "TEST"]
    rows = [f"{row},{names[number % 12]}" for number, row in enumerate(_rows(folder))]
    _write(folder, rows, "path,label,split")

    assert _lengths(_set_up(folder)) == {"train": 24, "val": 9, "test": 3}
    _write(folder, rows, "image,class,part")
    columns = {"path": "image", "label": "class", "split": "part"}
    assert _lengths(_set_up(folder, columns=columns)) == {"train": 24, "val": 9, "test": 3}
    assert _lengths(_set_up(folder, columns={"path": "image", "label": "class"}, test_split=0)) == {
        "train": 30, "val": 6,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["{path} {label}", "{path}\t{label}", "{path}", "./{path}\r"])
def test_text_files_list_the_images_of_each_split(folder: Path, form: str) -> None:
    rows = _rows(folder, form)
    for split, chosen in (("train", rows[::2]), ("val", rows[1::4]), ("test", rows[3::4])):
        (folder / f"{split}.txt").write_text("\n".join(chosen))
    data = _set_up(folder, {split: f"{split}.txt" for split in ("train", "val", "test")})

    assert data.class_names == NAMES
    assert _lengths(data) == {"train": 18, "val": 9, "test": 9}
    for files in data._splits.values():
        assert [NAMES[label] for label in files.labels] == [Path(path).parent.name for path in files.paths]


def test_paths_may_be_absolute_have_spaces_and_start_at_the_list(folder: Path, tmp_path: Path) -> None:
    (folder / "zero").rename(folder / "nought or zero")
    (tmp_path / "lists").mkdir()
    rows = [str(path).replace("/", "\\") for path in sorted(folder.rglob("*.png"))]
    (tmp_path / "lists" / "all.txt").write_text("\n".join(rows))
    assert _set_up(tmp_path, "lists/all.txt").class_names == ["nought or zero", "one", "two"]

    _write(folder, _rows(folder))
    assert sum(_lengths(_set_up(tmp_path, f"{folder.name}/labels.csv")).values()) == 36


def test_a_column_for_each_class_is_read(folder: Path) -> None:
    """As Roboflow exports it, with the list beside the images."""
    paths = sorted(folder.rglob("*.png"))
    for number, split in enumerate(("train", "valid", "test")):
        (folder / split).mkdir()
        rows = []
        for path in paths[number::3]:
            flags = ["1" if path.parent.name == name else "0" for name in NAMES]
            rows.append(f"{path.parent.name}{path.name}, {', '.join(flags)}")
            path.rename(folder / split / f"{path.parent.name}{path.name}")
        _write(folder / split, rows, "filename, one, two, zero", "_classes.csv")
    lists = {"train": "train/_classes.csv", "val": "valid/_classes.csv", "test": "test/_classes.csv"}
    data = _set_up(folder, lists, columns={"path": "filename"})

    assert data.class_names == NAMES
    assert _lengths(data) == {"train": 12, "val": 12, "test": 12}
    for files in data._splits.values():
        assert [NAMES[label] for label in files.labels] == [Path(path).name[:-7] for path in files.paths]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("1,1,0", "expected 1 for one class, got 2 classes"),
        (",nan,-1", "expected 1 for one class, got 0 classes"),
        (
            "2,0,0",
            "one: expected 1 or 0, got '2'. If this is no class, name the column of the labels in",
        ),
        ("1.0,0.0,0.0", ""),
        ("TRUE,False,", ""),
    ],
)
def test_a_wrong_cell_of_a_class_is_named_or_skipped(folder: Path, cells: str, message: str) -> None:
    rows = [f"{name}/{number:03}.png,{flags}" for name, flags in CELLS.items() for number in range(1, 6)]
    _write(folder, [f"one/000.png,{cells}", *rows], "path,one,two,zero")
    if message:
        with pytest.raises(DataError, match=re.escape(f"labels.csv: line 2: {message}")):
            _set_up(folder)
    data = _set_up(folder, on_error="skip")
    assert data.class_names == NAMES
    assert sum(_lengths(data).values()) == (15 if message else 16)


def test_the_order_of_the_rows_does_not_matter(folder: Path) -> None:
    rows = _rows(folder)
    before = _set_up(folder, folds=3)
    _write(folder, rows[::-1])
    after = _set_up(folder, folds=3)
    assert {split: files.paths for split, files in after._splits.items()} == {
        split: files.paths for split, files in before._splits.items()
    }


def test_a_list_without_images_is_named(folder: Path) -> None:
    _write(folder, _rows(folder))
    _write(folder, [], name="val.csv")
    data = _set_up(folder, {"train": "labels.csv", "val": "val.csv"}, test_split=0)
    assert _lengths(data) == {"train": 36}
    with pytest.raises(DataError, match="there are no images for val"):
        data.val_dataloader()


def test_groups_are_a_column(folder: Path) -> None:
    _write(folder, _rows(folder, "{path},{label},p{person}"), "path,label,person")
    data = _set_up(folder, group_column="person", folds=3, fold=1)
    persons = {split: {Path(path).stem for path in files.paths} for split, files in data._splits.items()}

    assert sum(map(len, persons.values())) == 12
    assert _lengths(data) == {"train": 21, "val": 9, "test": 6}
    (folder / "all.txt").write_text("one/000.png")
    with pytest.raises(DataError, match=r"all\.txt: data\.params\.group_column needs a CSV file\. Use group_by"):
        _set_up(folder, "all.txt", group_column="person")


WRONG = {
    "missing image": (["one/100.png,one"], "line 2: there is no image .*one/100.png"),
    "a folder": (["one,one"], "line 2: there is no image .*one"),
    "no label": (["one/000.png,"], "line 2: there is no label"),
    "no path": ([",one"], "line 2: the column path is empty"),
    "too few cells": (["one/000.png"], "line 2: expected 2 cells as in the header, got 1"),
    "too many cells": (["one/000.png,one,two"], "line 2: expected 2 cells as in the header, got 3"),
    "two labels": (
        ["one/000.png,one", "./one/000.png,two"],
        "line 3: .* is listed before, as one in .*line 2",
    ),
    "twice": (["one/000.png,one", "one/../one/000.png,one"], "line 3: .* is listed before, as one in .*line 2"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_entry_is_named_or_skipped_and_counted(folder: Path, name: str, caplog) -> None:
    rows, message = WRONG[name]
    _write(folder, [*rows, *(f"one/{number:03}.png,one" for number in range(1, 5))])
    with pytest.raises(DataError, match=rf"labels\.csv: {message}.*on_error: skip"):
        _set_up(folder)

    with caplog.at_level(logging.WARNING):
        data = _set_up(folder, on_error="skip")
    assert "skipped 1 images or objects with wrong annotations" in caplog.text
    assert sum(_lengths(data).values()) == 3 + len(rows)


def test_a_split_must_be_one_of_three(folder: Path) -> None:
    for name, message in (
        ("dev", 'the split is "dev"; expected train, val or test'),
        ("", "the column split is empty"),
    ):
        _write(folder, [f"one/000.png,one,{name}"], "path,label,split")
        with pytest.raises(DataError, match=f"line 2: {message}"):
            _set_up(folder)
    _write(folder, ["one/000.png,one,test"], "path,label,split")
    with pytest.raises(DataError, match=r"there is no image for training in labels\.csv"):
        _set_up(folder)


@pytest.mark.parametrize(
    ("header", "params", "message"),
    [
        (
            "pth,label",
            {},
            r'there is no column path\. Did you mean "pth"\? The header has: pth, label\. Set data\.params',
        ),
        ("path,class", {}, r"there is no column label\. .*columns to the names in the header"),
        ("path,label", {"columns": {"split": "part"}}, "there is no column part"),
        ("path,label", {"group_column": "person"}, "there is no column person"),
    ],
)
def test_a_missing_column_is_named(folder: Path, header: str, params: dict, message: str) -> None:
    _write(folder, ["one/000.png,one"], header)
    with pytest.raises(DataError, match=rf"labels\.csv: {message}"):
        _set_up(folder, **params)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "there is no column path. The header has: nothing"),
        (b"path,label\n", "there is no image for training"),
        (b"path,label,label\n", "the header has the column label twice"),
        (b"path,label\none/000.png,\xff\n", "this file is not UTF-8"),
        (b'path,label\n"one/000.png,one\n', "line 2: this is not CSV: unexpected end of data"),
        (b"\x89PNG\r\n\x1a\n", "this file is not UTF-8"),
    ],
)
def test_another_file_is_refused(folder: Path, content: bytes, message: str) -> None:
    (folder / "labels.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        _set_up(folder)
    with pytest.raises(DataError, match=r"nothing\.csv: cannot be read: No such file"):
        _set_up(folder, "nothing.csv")


def test_a_label_that_training_lacks_is_named_or_left_out(folder: Path) -> None:
    rows = [f"{row},{'test' if row.endswith('zero') else 'train'}" for row in _rows(folder)]
    _write(folder, rows, "path,label,split")
    with pytest.raises(DataError, match=r"labels\.csv: line 26: no training image has the label zero"):
        _set_up(folder)

    data = _set_up(folder, on_error="skip")
    assert data.class_names == ["one", "two"]
    assert _lengths(data) == {"train": 20, "val": 4}


def test_numbers_stay_text_and_further_classes_are_refused(folder: Path) -> None:
    rows = [row.replace(",zero", ",0").replace(",one", ",1").replace(",two", ",10") for row in _rows(folder)]
    _write(folder, rows)
    data = _set_up(folder)

    assert data.class_names == ["0", "1", "10"]
    with pytest.raises(DataError, match=r'the model does not know "1", "10"\. Its classes: 0, 2'):
        data.use_classes(["0", "2"])
    data.use_classes(["10", "2", "1", "0"])
    data.setup()
    assert set(data._splits["train"].labels) == {0, 2, 3}


def test_lists_without_one_of_training_and_two_kinds_of_groups_are_found_before() -> None:
    params = {"path": "x", "files": {"val": "v.csv"}, "group_by": "(a)", "group_column": "b"}
    problems = "\n".join(map(str, data_problems({"name": "ImageList", "params": params})))

    assert "data.params.files: the list of train is missing." in problems
    assert "data.params.group_by: it excludes group_column." in problems
    params = {"path": "x", "files": {"train": "t.csv", "vall": "v.csv"}, "columns": {"pth": "x"}}
    assert [str(problem) for problem in data_problems({"name": "ImageList", "params": params})] == [
        'data.params.files.vall: unknown key "vall". Did you mean "val"? Allowed keys: train, val, test.',
        'data.params.columns.pth: unknown key "pth". Did you mean "path"? Allowed keys: path, label, split.',
    ]


@pytest.mark.parametrize("fold", [0, 2])
def test_a_fold_is_trained_and_tested(folder: Path, tmp_path: Path, fold: int) -> None:
    tree = {
        "name": "fold",
        "model": {"name": "ClassificationModel", "params": {"backbone": "test_resnet"}},
        "data": {"name": "ImageList", "params": {"path": str(folder), "files": "labels.csv", "size": 32, "folds": 3}},
        "trainer": {"epochs": 1, "batch_size": 8, "num_workers": 0, "accelerator": "cpu"},
    }
    run = Run.from_yaml(tree, [f"data.params.fold={fold}"])
    run.train(tmp_path / "runs")
    again = Run.load(run.directory).test()

    assert 0 <= again.metrics["test/accuracy"] <= 1
    assert f"fold: {fold}" in (run.directory / "config.yaml").read_text()
