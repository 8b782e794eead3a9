"""A fingerprint of data is the same for the same data, and another one for any change."""

import hashlib
import shutil

import numpy as np
import pytest
from PIL import Image

from cuelight.data.base import fingerprints
from cuelight.data.datasets.digits import Digits
from cuelight.data.datasets.image_folder import ImageFolder
from cuelight.data.datasets.mask_folder import MaskFolder
from cuelight.data.protocols import HasFingerprint

SPLITS = ("train", "val", "test")


@pytest.fixture
def images(tmp_path):
    root = tmp_path / "images"
    for split in SPLITS:
        for number, name in enumerate(("cat", "dog")):
            (root / split / name).mkdir(parents=True)
            for index in range(3):
                pixels = np.full((4, 4, 3), 40 * index + number, dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{index}.bmp")
    return root


def fingerprint(root, **params):
    data = ImageFolder(root, **params)
    data.setup()
    return data.fingerprint()


def test_same_images_elsewhere_are_the_same(images, tmp_path, monkeypatch) -> None:
    copy = shutil.copytree(images, tmp_path / "elsewhere" / "copied")
    (copy / "train" / "cat" / "0.bmp").touch()
    monkeypatch.chdir(tmp_path)
    assert fingerprint(images) == fingerprint(copy) == fingerprint("images")
    assert fingerprint(images).startswith("sha256:")


def paint(root):
    Image.fromarray(np.full((4, 4, 3), 255, dtype=np.uint8)).save(root / "train" / "cat" / "0.bmp")


CHANGES = {
    "changed": paint,
    "added": lambda root: shutil.copy(root / "train" / "cat" / "0.bmp", root / "train" / "cat" / "9.bmp"),
    "removed": lambda root: (root / "train" / "cat" / "0.bmp").unlink(),
    "renamed": lambda root: (root / "train" / "cat" / "0.bmp").rename(root / "train" / "cat" / "9.bmp"),
    "labelled": lambda root: (root / "train" / "cat" / "0.bmp").rename(root / "train" / "dog" / "9.bmp"),
    "in another split": lambda root: (root / "train" / "cat" / "0.bmp").rename(root / "val" / "cat" / "9.bmp"),
    "of another class": lambda root: [
        (root / split / "cat").rename(root / split / "ape") for split in ("train", "val", "test")
    ],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_change_is_another_fingerprint(images, change) -> None:
    before = fingerprint(images)
    change(images)
    assert fingerprint(images) != before


def test_split_by_chance_counts(images) -> None:
    shutil.rmtree(images / "val")
    assert fingerprint(images, val_split=0.4) != fingerprint(images, val_split=0.4, split_seed=5)


def test_what_the_model_sees_does_not_count(images) -> None:
    assert fingerprint(images, size=32) == fingerprint(images, size=64, seed=3, batch_size=4)


def test_of_much_data_a_sample_is_read(images, monkeypatch) -> None:
    monkeypatch.setattr(fingerprints, "LARGEST_READ", 10)
    monkeypatch.setattr(fingerprints, "SAMPLE", 3)
    before = fingerprint(images)
    assert before.startswith("sha256-sampled:")
    read = []
    hash_of = fingerprints._content_hash
    monkeypatch.setattr(fingerprints, "_content_hash", lambda *of: read.append(of) or hash_of(*of))
    assert fingerprint(images) == before
    assert len(read) == 3
    CHANGES["added"](images)
    assert fingerprint(images) != before


def test_images_that_are_also_in_train_are_counted(images, tmp_path) -> None:
    for number, path in enumerate(sorted((images / "val").rglob("*.bmp"))):
        Image.new("RGB", (4, 4), (number, 200, 0)).save(path)
    data = ImageFolder(images)
    data.setup()
    assert data.images_also_in_train == {}  # nothing is read before
    data.fingerprint()
    assert data.images_also_in_train == {"test": 6}


def test_equal_masks_are_no_repeated_images(tmp_path) -> None:
    for number, split in enumerate(SPLITS):
        for index in range(3):
            for kind, picture in (
                ("images", Image.new("L", (4, 4), 10 * number + index)),
                ("masks", Image.new("L", (4, 4), 1)),
            ):
                (tmp_path / split / kind).mkdir(parents=True, exist_ok=True)
                picture.save(tmp_path / split / kind / f"{index}.png")
    shutil.copy(tmp_path / "train" / "images" / "1.png", tmp_path / "val" / "images" / "0.png")
    data = MaskFolder(tmp_path, class_names=["ground", "thing"])
    data.setup()
    data.fingerprint()
    assert data.images_also_in_train == {"val": 1}


def test_of_files_that_are_not_read_nothing_is_counted(images, monkeypatch) -> None:
    monkeypatch.setattr(fingerprints, "LARGEST_READ", 10)
    monkeypatch.setattr(fingerprints, "SAMPLE", 1)
    data = ImageFolder(images)
    data.setup()
    data.fingerprint()
    assert data.images_also_in_train == {}


def much_data(root, count):
    """So many scans with 1 MiB each, which take no place."""
    paths = [root / f"{number:04}.tif" for number in range(count)]
    for path in paths:
        with path.open("wb") as file:
            file.truncate(2**20)
    return {"train": [(str(path), "scan") for path in paths]}


@pytest.mark.parametrize(("count", "sampled"), [(300, 300), (1000, 1000), (1001, 501), (1999, 1000)])
def test_a_sample_is_small_whatever_the_data(tmp_path, monkeypatch, count, sampled) -> None:
    splits = much_data(tmp_path, count)
    sizes = []
    sha256 = hashlib.sha256
    monkeypatch.setattr(fingerprints.hashlib, "sha256", lambda *of: sizes.extend(map(len, of)) or sha256(*of))
    hashed = fingerprints.hash_files(tmp_path, splits)
    assert hashed.fingerprint.startswith("sha256-sampled:")
    assert hashed.contents == {}  # equal in their first 256 KiB
    assert sizes == [256 * 1024] * sampled


def test_digits() -> None:
    found = {}
    for seed in (0, 0, 1):
        data = Digits(split_seed=seed, seed=seed)
        data.setup()
        assert isinstance(data, HasFingerprint)
        found.setdefault(seed, set()).add(data.fingerprint())
    assert len(found[0]) == 1
    assert found[0] != found[1]
    assert found[0] == {"sha256:f9945dc0a75ea4071ab8ff559eb3f56e6bbf095cf52b73699348ff200863001f"}
