from __future__ import annotations

import io
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cuelight.data.datasets.digits import load_digits
from cuelight.data.datasets.hugging_face import HuggingFaceImages
from cuelight.errors import DataError
from cuelight.runs.run import Run

NAMES = ["zero", "one", "two"]


def _set_up(path: Path, **params: Any) -> HuggingFaceImages:
    data = HuggingFaceImages(path, **{"size": 24, "batch_size": 4, "num_workers": 0, **params})
    data.setup()
    return data


def _lengths(data: HuggingFaceImages) -> dict[str, int]:
    return {split: len(files) for split, files in data._splits.items()}


def test_the_package_is_named_where_it_is_missing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r'the package datasets is not installed\. Run: pip install "cuelight\[hf\]"'):
        _set_up(tmp_path)


@pytest.fixture
def hf() -> Any:
    return pytest.importorskip("datasets")


def _digits(hf: Any, count: int, first: int = 0, **columns: Any) -> Any:
    """Make a dataset of digits, with the names of their files."""
    images, labels = load_digits()
    rows: dict[str, list[Any]] = {"image": [], "label": []}
    for digit in range(3):
        for number, position in enumerate(np.flatnonzero(labels == digit)[first : first + count]):
            content = io.BytesIO()
            Image.fromarray(images[position, 0]).save(content, "PNG")
            rows["image"].append({"bytes": content.getvalue(), "path": f"person{number // 2}_{number}.png"})
            rows["label"].append(digit)
    features = hf.Features({"image": hf.Image(), "label": hf.ClassLabel(names=NAMES)})
    return hf.Dataset.from_dict(rows, features=features)


@pytest.fixture
def saved(hf: Any, tmp_path: Path) -> Path:
    splits = {"train": _digits(hf, 12), "validation": _digits(hf, 2, 12), "test": _digits(hf, 3, 14)}
    hf.DatasetDict(splits).save_to_disk(tmp_path / "digits")
    return tmp_path / "digits"


@pytest.fixture
def one(hf: Any, tmp_path: Path) -> Path:
    _digits(hf, 12).save_to_disk(tmp_path / "one")
    return tmp_path / "one"


def test_splits_and_classes_are_those_of_the_dataset(saved: Path) -> None:
    data = _set_up(saved)

    assert data.class_names == NAMES
    assert _lengths(data) == {"train": 36, "val": 6, "test": 9}
    images, labels = load_digits()
    for index, position in enumerate(np.flatnonzero(labels == 1)[12:14]):
        image, label = data._splits["val"][2 + index]
        assert label == 1
        assert np.array_equal(np.asarray(image), images[position, 0])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_missing_split_is_taken_from_training(one: Path, num_workers: int) -> None:
    data = _set_up(one, val_split=0.25, test_split=0.25, num_workers=num_workers)

    assert _lengths(data) == {"train": 18, "val": 9, "test": 9}
    labels = [label for _, batch in data.test_dataloader() for label in batch.tolist()]
    assert sorted(labels) == [0] * 3 + [1] * 3 + [2] * 3
    assert not list(one.glob("cache*"))  # nothing is written


def test_groups_and_folds(one: Path) -> None:
    data = _set_up(one, group_by="/(person[0-9])_", folds=3, fold=1, test_split=0)
    persons = {split: {Path(path).name[:7] for path in files.paths} for split, files in data._splits.items()}

    assert {split: len(names) for split, names in persons.items()} == {"train": 4, "val": 2}
    assert not persons["train"] & persons["val"]


def test_the_fingerprint_is_that_of_the_data(saved: Path, one: Path, hf: Any, tmp_path: Path) -> None:
    first = _set_up(saved).fingerprint()
    assert first.startswith("sha256:")
    assert _set_up(saved.rename(tmp_path / "moved")).fingerprint() == first
    assert len({_set_up(one, split_seed=seed).fingerprint() for seed in (0, 0, 1)}) == 2


def test_other_columns_can_be_set_and_texts_are_classes(hf: Any, tmp_path: Path) -> None:
    rows = _digits(hf, 4).rename_columns({"image": "img", "label": "digit"})
    texts = hf.Dataset.from_dict({"name": [NAMES[digit] for digit in rows["digit"]]})
    hf.concatenate_datasets([rows, texts], axis=1).with_format("numpy").save_to_disk(tmp_path / "texts")
    data = _set_up(tmp_path / "texts", image_column="img", label_column="name")
    assert data.class_names == sorted(NAMES)
    assert [data.class_names[label] for label in data._splits["test"].labels] == ["zero", "one", "two"]

    with pytest.raises(DataError, match=r"train has no column image\..* It has: img, digit, name\. Set image_column"):
        _set_up(tmp_path / "texts")
    with pytest.raises(DataError, match="the column name of train has no images"):
        _set_up(tmp_path / "texts", image_column="name", label_column="digit")


def _with_broken_rows(hf: Any, folder: Path) -> Path:
    rows = _digits(hf, 4)
    changed = rows.cast_column("image", hf.Image(decode=False)).to_dict()
    changed["label"][1] = None
    changed["label"][2] = -1
    changed["image"][5] = {"bytes": b"nothing", "path": "broken.png"}
    changed["image"][6] = None
    hf.DatasetDict({"train": hf.Dataset.from_dict(changed, features=rows.features)}).save_to_disk(folder)
    return folder


def test_broken_rows_are_named_or_skipped_and_counted(hf: Any, tmp_path: Path, caplog) -> None:
    folder = _with_broken_rows(hf, tmp_path / "broken")
    with pytest.raises(DataError, match=r"train/1/person0_1\.png: there is no label\. Correct or remove it"):
        _set_up(folder)

    with caplog.at_level(logging.WARNING):
        data = _set_up(folder, on_error="skip", val_split=0.2, test_split=0)
        assert sum(_lengths(data).values()) == 10
        for split in ("train", "val"):
            list(data.whole_dataloader(split))
    assert "skipped 2 images or objects with wrong annotations" in caplog.text
    assert "train/5/broken.png (it is not an image, or Pillow does not support its format)" in caplog.text
    assert "train/6 (the cell is empty)" in caplog.text


def test_a_label_without_a_name_is_named_or_left_out(hf: Any, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    table = _digits(hf, 4).data.table
    field, labels = table.schema.get_field_index("label"), table.column("label").to_pylist()
    labels[1] = 5
    changed = table.set_column(field, table.schema.field(field), pa.array(labels))
    hf.Dataset(hf.table.InMemoryTable(changed)).save_to_disk(tmp_path / "wrong")
    with pytest.raises(DataError, match=r"train/1/person0_1\.png: its label number 5 is not among those of training"):
        _set_up(tmp_path / "wrong")
    assert sum(_lengths(_set_up(tmp_path / "wrong", on_error="skip")).values()) == 11


def test_a_training_split_without_labels_is_named(hf: Any, tmp_path: Path) -> None:
    rows = _digits(hf, 2)
    changed = rows.cast_column("image", hf.Image(decode=False)).to_dict() | {"label": [None] * 6}
    hf.Dataset.from_dict(changed, features=rows.features).save_to_disk(tmp_path / "empty")
    with pytest.raises(DataError, match=r"empty: there are no images for training\. Add images with labels"):
        _set_up(tmp_path / "empty", on_error="skip")


def test_another_folder_is_refused(hf: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Expected the folder that save_to_disk of a Dataset or a DatasetDict wrote"):
        _set_up(tmp_path)
    with pytest.raises(DataError, match="there is no such folder"):
        _set_up(tmp_path / "nowhere")
    _digits(hf, 2).save_to_disk(tmp_path / "damaged")
    (tmp_path / "damaged" / "dataset_info.json").write_text("[]")
    with pytest.raises(DataError, match=r"damaged: .* Expected the folder that save_to_disk"):
        _set_up(tmp_path / "damaged")
    hf.DatasetDict({"part": _digits(hf, 2)}).save_to_disk(tmp_path / "other")
    with pytest.raises(DataError, match="there is no split train among part"):
        _set_up(tmp_path / "other")
    hf.DatasetDict(dict.fromkeys(("train", "val", "validation"), _digits(hf, 2))).save_to_disk(tmp_path / "two")
    with pytest.raises(DataError, match="two: val and validation are both for val"):
        _set_up(tmp_path / "two")
    hf.Dataset.from_dict({"image": [1], "label": [2]}).save_to_disk(tmp_path / "numbers")
    with pytest.raises(DataError, match="the column image of train has no images"):
        _set_up(tmp_path / "numbers")


def test_a_run_is_trained_and_tested(saved: Path, tmp_path: Path) -> None:
    tree = {
        "name": "hf",
        "model": {"name": "ClassificationModel", "params": {"backbone": "test_resnet"}},
        "data": {"name": "HuggingFaceImages", "params": {"path": str(saved), "size": 32}},
        "trainer": {
            "epochs": 1, "batch_size": 8, "num_workers": 2, "accelerator": "cpu",
            "callbacks": [{"name": "TestOnTrainEnd"}],
        },
    }  # fmt: skip
    result = Run.from_yaml(tree).train(tmp_path / "runs")

    assert 0 <= result.metrics["test/accuracy"] <= 1
