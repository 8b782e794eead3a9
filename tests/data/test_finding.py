"""Which files a folder holds, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cuelight.data.finding import IMAGE_SUFFIXES, LeftOut, is_image, walk_images
from cuelight.errors import DataError


def _files(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    return root


def _walk(folder: Path, root: Path, others=()) -> tuple[list[str], str]:
    left_out = LeftOut(root)
    return sorted(str(Path(path).relative_to(root)) for path in walk_images(folder, left_out, others)), str(left_out)


@pytest.mark.parametrize("suffix", [".gif", ".jp2", ".jfif", ".tga", ".avif", ".qoi", ".JPG"])
def test_the_formats_of_pillow_are_images(suffix: str, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / f"photo{suffix}")

    assert is_image(f"photo{suffix}")
    assert set(IMAGE_SUFFIXES) <= set(Image.registered_extensions())


def test_files_of_other_formats_are_counted_by_suffix(tmp_path: Path) -> None:
    root = _files(tmp_path, "a/1.png", "a/2.HEIC", "a/3.heic", "a/deep/4.xml", "a/LICENSE")

    images, line = _walk(root / "a", root)
    assert images == ["a/1.png"]
    assert line == f"{root}: not used: 4 files of other formats (2 .heic, 1 .xml, 1 without suffix)"


def test_hidden_files_and_folders_are_named(tmp_path: Path) -> None:
    root = _files(tmp_path, "a/1.png", "a/.2.png", "a/.ipynb_checkpoints/1.png")

    images, line = _walk(root / "a", root)
    assert images == ["a/1.png"]
    assert line.endswith("not used: 2 names beginning with a dot (a/.ipynb_checkpoints, a/.2.png)")


def test_nothing_is_said_of_what_operating_systems_write(tmp_path: Path) -> None:
    root = _files(tmp_path, "a/1.png", "a/._1.png", "a/.DS_Store", "a/Thumbs.db", "a/__MACOSX/1.png")

    assert _walk(root / "a", root) == (["a/1.png"], "")


def test_many_names_are_cut(tmp_path: Path) -> None:
    root = _files(tmp_path, *(f"a/.{number}.png" for number in range(7)))

    assert _walk(root / "a", root)[1].endswith("and 2 more)")


@pytest.mark.parametrize("target", ["..", ".", "../../data", "../bee"])
def test_a_link_to_above_or_to_another_class_is_not_followed(tmp_path: Path, target: str) -> None:
    root = _files(tmp_path / "data", "ant/1.png", "bee/2.png")
    (root / "ant" / "loop").symlink_to(target)

    images, line = _walk(root / "ant", root, [root / "bee"])
    assert images == ["ant/1.png"]
    assert line.endswith("not used: 1 link to folders that are read already or contain it (ant/loop)")


def test_a_folder_that_several_links_lead_to_is_read_once(tmp_path: Path) -> None:
    root = _files(tmp_path / "data", "ant/1.png", "ant/deep/2.png")
    _files(tmp_path, "elsewhere/3.png")
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    for name, target in (("b", tmp_path / "elsewhere"), ("c", tmp_path / "elsewhere"), ("d", root / "ant" / "deep")):
        (root / "ant" / name).symlink_to(target)

    images, line = _walk(root / "ant", root)
    assert images == ["ant/1.png", "ant/b/3.png", "ant/deep/2.png"]
    assert "3 links to folders that are read already or contain it (ant/c, ant/d, ant/b/back)" in line


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone: this folder cannot be read: No such file"):
        list(walk_images(tmp_path / "gone"))
