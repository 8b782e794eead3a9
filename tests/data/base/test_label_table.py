"""CSV files with the classes of images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cuelight.data.base.box_annotations import AnnotationErrors
from cuelight.data.base.label_table import read_label_table
from cuelight.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "sub/c.jpg", "d, e.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def _read(root: Path, text: str | bytes, classes: Any = None, on_error: Any = "raise") -> Any:
    file = root / "labels.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_label_table(file, root, AnnotationErrors(root, on_error), classes)


def _found(read: Any, root: Path) -> dict[str, dict[str, dict[str, bool]]]:
    """Whether each class that is not absent is unknown, of each image of each split."""
    return {
        split: {
            str(Path(image.path).relative_to(root)): {each.name: each.crowd for each in image.objects}
            for image in images
        }
        for split, images in read.splits.items()
    }


def test_a_column_for_each_class(root: Path) -> None:
    read = _read(root, "image,cat,dog\na.jpg,1,0\nb.jpg,,1\nsub/c.jpg,0,0\n")
    assert read.class_names == ["cat", "dog"]
    assert _found(read, root) == {
        "train": {"a.jpg": {"cat": False}, "b.jpg": {"cat": True, "dog": False}, "sub/c.jpg": {}}
    }


def test_a_column_with_the_names(root: Path) -> None:
    read = _read(root, "file,labels,width\na.jpg,dog|cat,3\nb.jpg,,x\nsub/c.jpg, cat ; big dog;,5\n")
    assert read.class_names == ["big dog", "cat", "dog"]
    assert _found(read, root)["train"] == {
        "a.jpg": {"dog": False, "cat": False},
        "b.jpg": {},
        "sub/c.jpg": {"cat": False, "big dog": False},
    }


def test_a_column_with_the_split(root: Path) -> None:
    read = _read(root, "image,split,cat\na.jpg,train,1\nb.jpg,Valid,0\nsub/c.jpg,test,1\n")
    assert {split: list(images) for split, images in _found(read, root).items()} == {
        "train": ["a.jpg"],
        "val": ["b.jpg"],
        "test": ["sub/c.jpg"],
    }
    assert read.class_names == ["cat"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((value, {"cat": False}) for value in ("1", "1.0", "true", "TRUE", " 1 ")),
        *((value, {}) for value in ("0", "0.0", "False")),
        *((value, {"cat": True}) for value in ("", "-1", "-1.0", "nan", "NaN", " ")),
    ],
)
def test_values_as_programs_write_them(root: Path, value: str, expected: Any) -> None:
    assert _found(_read(root, f"image,cat\na.jpg,{value}\n"), root)["train"]["a.jpg"] == expected


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_files_as_programs_write_them(root: Path, sign: str) -> None:
    rows = [[], ["image", "cat"], ['"d, e.jpg"', "1"], [], ["", ""], ["sub\\c.jpg", "1"], []]
    text = "\ufeff" + "\r\n".join(map(sign.join, rows))
    assert list(_found(_read(root, text), root)["train"]) == ["d, e.jpg", "sub/c.jpg"]


def test_signs_inside_of_quotes_do_not_separate(root: Path) -> None:
    found = _found(_read(root, 'image,"dog; big; brown"\na.jpg,1\n'), root)
    assert found["train"]["a.jpg"] == {"dog; big; brown": False}


def test_columns_that_are_no_classes_may_have_anything(root: Path) -> None:
    text = "image,cat,age\na.jpg,1,old\n"
    with pytest.raises(DataError, match=r"labels\.csv: line 2: age: expected 1, 0, .* got 'old'\. Name the columns"):
        _read(root, text)
    assert _found(_read(root, text, ["cat"]), root)["train"]["a.jpg"] == {"cat": False}


WRONG = {
    "value": ("image,cat\na.jpg,1\nb.jpg,2\n", r"line 3: cat: expected 1, 0, or -1 or nothing .*, got '2'"),
    "short": ("image,cat,dog\na.jpg,1,0\nb.jpg,1\n", "line 3: it has 2 columns, but the first line has 3"),
    "long": ("image,cat\na.jpg,1\nb.jpg,1,0\n", "line 3: it has 3 columns, but the first line has 2"),
    "split": ("image,cat,split\na.jpg,1,train\nb.jpg,1,dev\n", "line 3: split: expected train, val or test, got 'dev'"),
    "missing": ("image,cat\na.jpg,1\ngone.jpg,1\n", r"line 3: there is no file .*gone\.jpg"),
    "folder": ("image,cat\na.jpg,1\nsub,1\n", "line 3: there is no file .*sub"),
    "no path": ("image,cat\na.jpg,1\n,1\n", "line 3: there is no file"),
    "quoted lines": ('image,cat\n"a.jpg",1\n"b\n.jpg",1\n', "line 4: there is no file"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_line_is_named_or_skipped(root: Path, name: str, caplog: Any) -> None:
    text, message = WRONG[name]
    with pytest.raises(DataError, match=rf"(?s)labels\.csv: {message}.*on_error: skip"):
        _read(root, text)
    assert list(_found(_read(root, text, on_error="skip"), root)["train"]) == ["a.jpg"]


BROKEN = {
    "empty": ("", "there is no column with classes in the first line, ''"),
    "only paths": ("image\na.jpg\n", "there is no column with classes in the first line, 'image'"),
    "only splits": ("image,split\na.jpg,train\n", "there is no column with classes in the first line, 'image,split'"),
    "without a header": ("a.jpg,1,1\nb.jpg,0,1\n", "expected a different name for each column, got 'a.jpg,1,1'"),
    "an index": (",image,cat\n0,a.jpg,1\n", "expected a different name for each column, got ',image,cat'"),
    "no rows": ("image,cat\n", "there is no image for train"),
    "no training": ("image,cat,split\na.jpg,1,val\n", "there is no image for train"),
    "quote": ('image,cat\n"a.jpg,1\n', "line 2: this is not CSV: unexpected end of data"),
    "latin-1": (b"image,cat\n\xe9.jpg,1\n", "this file is not UTF-8"),
    "utf-16": ("image,cat\n".encode("utf-16"), "this file is not UTF-8"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_another_file_is_refused(root: Path, name: str) -> None:
    text, message = BROKEN[name]
    with pytest.raises(DataError, match=rf"labels\.csv: {message}"):
        _read(root, text)


def test_a_pipe_is_refused(root: Path) -> None:
    os.mkfifo(root / "pipe.csv")
    with pytest.raises(DataError, match="it is a pipe or a device"):
        read_label_table(root / "pipe.csv", root, AnnotationErrors(root, "raise"))
