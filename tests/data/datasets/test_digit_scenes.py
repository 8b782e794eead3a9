from __future__ import annotations

import sys

import pytest
import torch

from cuelight.config import Part
from cuelight.data.datasets.digit_scenes import PHOTOGRAPHS, DigitScenes, semantic_mask
from cuelight.data.protocols import DescribesImages, HasFingerprint, NamesClasses
from cuelight.errors import DataError
from support.checks import data_problems

FEW = {"train_scenes": 40, "val_scenes": 12, "test_scenes": 10}


def _set_up(**params) -> DigitScenes:
    data = DigitScenes(**{"batch_size": 10, **FEW, **params})
    data.setup()
    return data


@pytest.fixture(scope="module")
def scenes() -> DigitScenes:
    return _set_up()


def _masks(loader) -> torch.Tensor:
    return torch.cat([masks for _, masks in loader])


def test_it_names_classes_and_describes_images_before_anything_is_read() -> None:
    data = DigitScenes(size=(48, 96))

    assert isinstance(data, NamesClasses)
    assert isinstance(data, DescribesImages)
    assert data.class_names == ["background", *"0123456789"]
    assert (data.preprocessing.channels, data.preprocessing.size) == (3, (48, 96))
    assert data._splits == {}


def test_batches_are_normalized_images_and_masks(scenes: DigitScenes) -> None:
    images, masks = next(iter(scenes.train_dataloader()))

    assert images.shape == (10, 3, 64, 64)
    assert images.dtype == torch.float32
    assert masks.shape == (10, 64, 64)
    assert masks.dtype == torch.int64
    assert abs(images.mean()) < 0.5
    assert 0.6 < images.std() < 1.4
    assert set(_masks(scenes.train_dataloader()).unique().tolist()) == set(range(11))


def test_there_are_as_many_scenes_as_asked_for(scenes: DigitScenes) -> None:
    loaders = scenes.train_dataloader(), scenes.val_dataloader(), scenes.test_dataloader()

    assert [len(_masks(loader)) for loader in loaders] == [40, 12, 10]


def test_the_class_of_a_pixel_is_the_digit_that_is_seen_there(scenes: DigitScenes) -> None:
    scene = scenes._splits["train"].draw(7)
    mask = semantic_mask(scene)

    assert (mask[scene.instances == 0] == 0).all()
    for number, label in enumerate(scene.labels, 1):
        assert (mask[scene.instances == number] == label + 1).all()


def test_splits_share_neither_digits_nor_photographs(scenes: DigitScenes) -> None:
    drawers = [images.draw for images in scenes._splits.values()]
    for sources in ([draw.digits for draw in drawers], [draw.photographs for draw in drawers]):
        seen = [{source.tobytes() for source in of_split} for of_split in sources]
        assert len(set().union(*seen)) == sum(map(len, seen))
    assert len({name for names in PHOTOGRAPHS.values() for name in names}) == sum(map(len, PHOTOGRAPHS.values()))


def test_scenes_follow_split_seed_and_not_the_seed_of_the_training(scenes: DigitScenes) -> None:
    masks = _masks(scenes.val_dataloader())

    assert torch.equal(_masks(_set_up(seed=1).val_dataloader()), masks)
    assert not torch.equal(_masks(_set_up(split_seed=1).val_dataloader()), masks)
    assert not torch.equal(_masks(_set_up(seed=1).train_dataloader()), _masks(scenes.train_dataloader()))


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing() -> None:
    flip = [Part(name="RandomHorizontalFlip"), Part(name="RandomAffine", params={"degrees": 10})]
    alone, shared = (_set_up(transforms=flip, num_workers=workers) for workers in (0, 2))

    for (images, masks), (same_images, same_masks) in zip(
        alone.train_dataloader(), shared.train_dataloader(), strict=True
    ):
        assert torch.equal(images, same_images)
        assert torch.equal(masks, same_masks)


def test_what_moves_a_scene_moves_its_mask(scenes: DigitScenes) -> None:
    flipped = _set_up(transforms=[Part(name="RandomHorizontalFlip", params={"p": 1.0})], num_workers=0)
    (images, masks), (mirrored, mirrored_masks) = (next(iter(data.train_dataloader())) for data in (scenes, flipped))

    assert torch.equal(images.flip(-1), mirrored)
    assert torch.equal(masks.flip(-1), mirrored_masks)


def test_the_fingerprint_tells_scenes_apart(scenes: DigitScenes) -> None:
    assert isinstance(scenes, HasFingerprint)
    same = {_set_up(seed=seed, transforms=[Part(name="RandomInvert")]).fingerprint() for seed in (1, 2)}
    others = [{"split_seed": 1}, {"size": 96}, {"digits_per_scene": (1, 2)}, {"val_scenes": 13}]

    assert same == {scenes.fingerprint()}
    assert len({scenes.fingerprint(), *(_set_up(**other).fingerprint() for other in others)}) == 5
    assert scenes.fingerprint() == "sha256:035a931a49708130c1a16b753b0662b72c939537069106875eb04f7cf790206a"


def test_wrong_parameters_are_found_before_anything_is_read() -> None:
    params = {
        "size": 16,
        "train_scenes": 0,
        "digits_per_scene": [5, 2],
        "transforms": [{"name": "RandomInvert"}, {"name": "RandAugment"}],
    }
    problems = [str(p) for p in data_problems({"name": "DigitScenes", "params": params})]
    assert [problem.partition(":")[0] for problem in problems] == ["data.params.size", "data.params.train_scenes"]

    params = {name: params[name] for name in ("digits_per_scene", "transforms")}
    transform, count = map(str, data_problems({"name": "DigitScenes", "params": params}))
    assert transform.startswith("data.params.transforms.1.name: RandAugment would change the image but not its mask.")
    assert count.startswith("data.params.digits_per_scene: expected [minimum, maximum] number of digits, got [5, 2].")


@pytest.mark.parametrize("package", ["mlxtend", "skimage"])
def test_without_the_packages_the_error_says_what_to_install(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(DataError, match=r'pip install "cuelight\[demo\]"'):
        DigitScenes().setup()
