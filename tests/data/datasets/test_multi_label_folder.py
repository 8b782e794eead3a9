from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cuelight.config import Part
from cuelight.data.datasets.multi_label_folder import MultiLabelFolder
from cuelight.data.protocols import CountsRepeatedImages, DescribesImages, HasFingerprint, LabelsByName, NamesClasses
from cuelight.errors import DataError
from support.checks import data_problems

NAMES = ["red", "green", "blue"]


def write_labels(root: Path, count: int = 12, header: str = "image,red,green,blue") -> Path:
    """Images of one color each: a class for each channel that is bright."""
    (root / "images").mkdir(parents=True)
    lines = [header]
    for number in range(count):
        labels = [number >> place & 1 for place in range(3)]
        pixels = np.full((16, 24, 3), 40 + number, np.uint8) + np.array(labels, np.uint8) * 180
        Image.fromarray(pixels).save(root / "images" / f"{number:02}.png")
        lines.append(f"images/{number:02}.png,{','.join(map(str, labels))}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


def change(root: Path, line: int, text: str) -> None:
    lines = (root / "labels.csv").read_text().splitlines()
    lines[line - 1] = text
    (root / "labels.csv").write_text("\n".join(lines))


def set_up(path: Path, **params: Any) -> MultiLabelFolder:
    data = MultiLabelFolder(path, **{"size": 16, "batch_size": 4, "num_workers": 0, **params})
    data.setup()
    return data


def names_of(data: MultiLabelFolder) -> dict[str, list[str]]:
    return {split: [Path(path).stem for path in files.paths] for split, files in data._splits.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_labels(tmp_path / "colors")


def test_it_describes_itself(folder: Path) -> None:
    data = MultiLabelFolder(folder)
    assert (data.task, data.class_names) == ("multilabel", NAMES)
    assert (data.preprocessing.size, data.preprocessing.resize) == ((224, 224), "letterbox")
    for protocol in (CountsRepeatedImages, DescribesImages, HasFingerprint, LabelsByName, NamesClasses):
        assert isinstance(data, protocol)


@pytest.mark.parametrize("workers", [0, 2])
def test_images_and_labels_are_loaded_together(folder: Path, workers: int) -> None:
    data = set_up(folder, mean=[0.0] * 3, std=[1.0] * 3, resize="stretch", num_workers=workers)
    seen = 0
    for split in ("train", "val", "test"):
        for images, labels in data.whole_dataloader(split):
            assert (images.dtype, labels.dtype) == (torch.float32, torch.float32)
            assert torch.equal(labels, (images.mean((2, 3)) > 0.5).float())
            seen += len(labels)
    assert seen == 12


def test_a_column_of_names_gives_the_same_batches(folder: Path, tmp_path: Path) -> None:
    listed = tmp_path / "listed"
    shutil.copytree(folder, listed)
    lines = []
    for line in (folder / "labels.csv").read_text().splitlines()[1:]:
        path, *ones = line.split(",")
        lines.append(f"{path},{'|'.join(name for name, one in zip(NAMES, ones, strict=True) if one == '1')}")
    (listed / "labels.csv").write_text("image,labels\n" + "\n".join(lines))
    one, other = set_up(folder, classes=NAMES), set_up(listed, classes=NAMES)
    for split in ("train", "val", "test"):
        for (images, labels), (same_images, same) in zip(
            one.whole_dataloader(split), other.whole_dataloader(split), strict=True
        ):
            assert torch.equal(images, same_images)
            assert torch.equal(labels, same)
    assert one.fingerprint() == other.fingerprint()


def test_unknown_labels_and_images_without_a_class(folder: Path) -> None:
    change(folder, 2, "images/00.png,0,0,0")
    change(folder, 3, "images/01.png,,-1,1")
    files = set_up(folder, val_split=0.1, test_split=0).list_files()["train"]
    assert files[0][1].tolist() == [0, 0, 0]
    assert files[1][1].tolist() == [-1, -1, 1]


def test_the_split_of_the_file_is_used(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "colors", 6, "image,red,green,blue,split")
    lines = (folder / "labels.csv").read_text().splitlines()
    splits = ["", ",train", ",train", ",val", ",val", ",test", ",train"]
    (folder / "labels.csv").write_text("\n".join(line + split for line, split in zip(lines, splits, strict=True)))
    assert names_of(set_up(folder)) == {"train": ["00", "01", "05"], "val": ["02", "03"], "test": ["04"]}


def test_missing_splits_have_the_rare_classes_too(folder: Path) -> None:
    for seed in range(5):
        data = set_up(folder, val_split=0.25, test_split=0.25, split_seed=seed)
        assert all(2 in files.seen_labels() for files in data._splits.values())


def test_classes_are_chosen_renamed_and_joined(folder: Path) -> None:
    change(folder, 2, "images/00.png,0,0,-1")
    change(folder, 3, "images/01.png,1,0,-1")
    assert set_up(folder, classes=["blue", "red"]).list_files()["train"][1][1].tolist() == [-1, 1]
    joined = set_up(folder, classes={"red": "warm", "blue": "warm", "green": "cold"})
    assert joined.class_names == ["warm", "cold"]
    labels = [label.tolist() for _, label in joined.list_files()["train"]]
    assert labels[:3] == [[-1, 0], [1, 0], [0, 1]]  # unknown unless one of them is in the image
    with pytest.raises(DataError, match=r'there is no class grene\. Did you mean "green"\?'):
        set_up(folder, classes=["grene"])


def test_images_without_a_class_are_kept_by_choice(folder: Path) -> None:
    assert [sum(map(len, set_up(folder, keep_empty=keep)._splits.values())) for keep in (True, False)] == [12, 10]


def test_labels_follow_the_classes_of_a_model(folder: Path) -> None:
    data = set_up(folder)
    data.use_classes(["blue", "violet", "green", "red"])
    data.setup()
    labels = [label.tolist() for _, label in data.list_files()["train"]]
    assert labels[:3] == [[0, -1, 0, 0], [0, -1, 0, 1], [0, -1, 1, 0]]  # nothing is known of a class of the model alone
    with pytest.raises(DataError, match="the model does not know green, blue"):
        MultiLabelFolder(folder).use_classes(["red", "violet"])


def test_transforms_change_the_image_alone(folder: Path) -> None:
    plain = set_up(folder)
    flipped = set_up(folder, transforms=[Part(name="RandomVerticalFlip", params={"p": 1})])
    for (images, labels), (mirrored, same) in zip(plain.train_dataloader(), flipped.train_dataloader(), strict=True):
        assert torch.equal(images.flip(-2), mirrored)
        assert torch.equal(labels, same)
    assert (
        data_problems({"name": "MultiLabelFolder", "params": {"path": "x", "transforms": [{"name": "AugMix"}]}}) == []
    )


def test_the_fingerprint_is_of_images_labels_and_splits(folder: Path, tmp_path: Path) -> None:
    before = set_up(folder).fingerprint()
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert set_up(tmp_path / "elsewhere", size=32).fingerprint() == before
    others = {before, set_up(folder, classes=["red"]).fingerprint(), set_up(folder, split_seed=1).fingerprint()}
    change(folder, 2, "images/00.png,0,0,")
    others.add(set_up(folder).fingerprint())
    change(folder, 2, "images/00.png,0,0,1")
    others.add(set_up(folder).fingerprint())
    assert len(others) == 5


def test_files_that_are_not_used_are_counted(folder: Path, caplog: Any) -> None:
    shutil.copy(folder / "images" / "00.png", folder / "more.png")
    (folder / "notes.txt").touch()
    with caplog.at_level(logging.WARNING):
        set_up(folder)
    assert "not used: 1 file of other formats (1 .txt); 1 image without annotation (more.png)" in caplog.text


def test_classes_that_a_split_lacks_are_named(folder: Path, caplog: Any) -> None:
    for line in range(2, 14):
        change(folder, line, f"images/{line - 2:02}.png,1,0,0")
    with caplog.at_level(logging.WARNING):
        set_up(folder)
    assert "train: no image of 2 of 3 classes: green, blue. They cannot be learnt." in caplog.text


def test_the_same_image_twice_is_an_error(folder: Path, caplog: Any) -> None:
    change(folder, 3, "images/00.png,1,0,0")
    with pytest.raises(DataError, match=r"images/00\.png: this image is listed twice"):
        set_up(folder)
    with caplog.at_level(logging.WARNING):
        assert sum(map(len, set_up(folder, on_error="skip")._splits.values())) == 11
    assert "skipped 1 images or objects with wrong annotations" in caplog.text


def test_training_without_a_single_class_is_an_error(folder: Path) -> None:
    for line in range(2, 14):
        change(folder, line, f"images/{line - 2:02}.png,0,,0")
    with pytest.raises(DataError, match=r"no training image has any of the classes \['red', 'green', 'blue'\]"):
        set_up(folder)


def test_a_name_that_no_checkpoint_can_hold_is_an_error(folder: Path) -> None:
    change(folder, 1, f"image,{'r' * 1001},green,blue")
    with pytest.raises(DataError, match="at most 1000 characters for each, got 1001"):
        set_up(folder)


def test_the_file_is_found_or_set(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "labels.csv", tmp_path / "other.csv")
    assert set_up(folder, annotations="../other.csv").class_names == NAMES
    (folder / "._labels.csv").touch()  # as macOS writes them
    set_up(folder)
    (folder / "more.csv").touch()
    with pytest.raises(DataError, match=r"found labels\.csv and more\.csv\. Set data\.params\.annotations"):
        set_up(folder)
    with pytest.raises(DataError, match=r"none\.csv: cannot be read: No such file"):
        set_up(folder, annotations="none.csv")
    with pytest.raises(DataError, match=r"images: found no CSV file\."):
        set_up(folder / "images")
    with pytest.raises(DataError, match="there is no such folder"):
        set_up(folder / "nowhere")


def test_a_broken_image_is_named_or_skipped(folder: Path, caplog: Any) -> None:
    (folder / "images" / "03.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"03\.png: the image cannot be read"):
        [batch for split in ("train", "val", "test") for batch in set_up(folder).whole_dataloader(split)]
    data = set_up(folder, on_error="skip")
    assert sum(len(labels) for split in ("train", "val", "test") for _, labels in data.whole_dataloader(split)) == 11


def test_a_file_may_set_every_parameter() -> None:
    params = {
        "path": "x", "annotations": "a.csv", "classes": {"a": "b"}, "keep_empty": False, "size": [32, 64],
        "resize": "crop", "on_error": "skip", "color": "GRAY", "val_split": 0.3, "test_split": 0, "split_seed": 3,
    }  # fmt: skip
    assert data_problems({"name": "MultiLabelFolder", "params": params}) == []
    wrong = {"path": "x", "annotations": 3, "classes": [], "keep_empty": "x", "resize": "pad", "mosaic": 0.5}
    problems = data_problems({"name": "MultiLabelFolder", "params": wrong})
    assert {problem.path.rpartition(".")[2] for problem in problems} == wrong.keys() - {"path"}
