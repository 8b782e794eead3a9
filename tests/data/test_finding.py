"""Which files of a folder are images, and how the others are named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from cuelight.data.finding import IMAGE_SUFFIXES, UnusedFiles, is_image, walk_images
from cuelight.errors import DataError


def _files(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    return root


def _walk(folder: Path, root: Path, read: set[Path] | None = None) -> tuple[list[str], str]:
    unused = UnusedFiles(root)
    return sorted(str(Path(path).relative_to(root)) for path in walk_images(folder, unused, read)), str(unused)


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


def test_hidden_files_and_those_of_operating_systems_are_ignored(tmp_path: Path) -> None:
    root = _files(tmp_path, "a/1.png", "a/.2.png", "a/.cache/1.png", "a/.DS_Store", "a/Thumbs.db", "a/__MACOSX/1.png")

    assert _walk(root / "a", root) == (["a/1.png"], "")


def test_many_names_are_cut(tmp_path: Path) -> None:
    unused = UnusedFiles(_files(tmp_path, *(f"{number}.png" for number in range(7))))
    unused.add_others(tmp_path, [])

    assert str(unused).endswith(
        "not used: 7 images in no folder of the layout (0.png, 1.png, 2.png, 3.png, 4.png and 2 more)"
    )


@pytest.mark.parametrize("target", ["..", ".", "../../data", "../bee", "../bee/deep"])
def test_a_link_to_above_or_to_another_class_is_not_followed(tmp_path: Path, target: str) -> None:
    root = _files(tmp_path / "data", "ant/1.png", "bee/deep/2.png")
    (root / "ant" / "loop").symlink_to(target)

    images, line = _walk(root / "ant", root, {root / "ant", root / "bee"})
    assert images == ["ant/1.png"]
    assert line.endswith("not used: 1 folder reached twice or in a circle (ant/loop)")


def test_a_folder_that_several_links_lead_to_is_read_once(tmp_path: Path) -> None:
    root = _files(tmp_path / "data", "ant/1.png", "ant/deep/2.png")
    _files(tmp_path, "elsewhere/3.png")
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    for name, target in (("b", tmp_path / "elsewhere"), ("c", tmp_path / "elsewhere"), ("d", root / "ant" / "deep")):
        (root / "ant" / name).symlink_to(target)

    images, line = _walk(root / "ant", root)
    assert images == ["ant/1.png", "ant/b/3.png", "ant/deep/2.png"]
    assert line.endswith("3 folders reached twice or in a circle (ant/c, ant/d, ant/b/back)")


def test_a_link_to_a_folder_above_one_that_was_read_loses_no_image(tmp_path: Path) -> None:
    root = _files(tmp_path, "data/ant/1.png", "elsewhere/2.png", "elsewhere/deep/3.png")
    (root / "data" / "ant" / "a").symlink_to(root / "elsewhere" / "deep")
    (root / "data" / "ant" / "b").symlink_to(root / "elsewhere")

    images, line = _walk(root / "data" / "ant", root / "data")
    assert [Path(image).name for image in images] == ["1.png", "3.png", "2.png"]
    assert line.endswith("1 folder reached twice or in a circle (ant/b/deep)")


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone: this folder cannot be read: No such file"):
        list(walk_images(tmp_path / "gone"))


def test_special_files_are_counted_and_links_to_nothing_are_images(tmp_path: Path) -> None:
    root = _files(tmp_path, "a/1.png")
    os.mkfifo(root / "a" / "2.png")
    (root / "a" / "3.png").symlink_to("/dev/zero")
    (root / "a" / "4.png").symlink_to("gone")

    images, line = _walk(root / "a", root)
    assert images == ["a/1.png", "a/4.png"]
    assert "not used: 2 special files such as a pipe (a/" in line
