import pytest
import yaml

from cuelight.errors import ConfigError
from cuelight.images.preprocessing import Preprocessing


def test_it_is_written_to_a_file_and_read_back_equal() -> None:
    preprocessing = Preprocessing(size=(8, 9), mean=(0.1, 0.2, 0.3), color="BGR", resize="letterbox")

    assert Preprocessing.from_dict(yaml.safe_load(yaml.safe_dump(preprocessing.to_dict()))) == preprocessing


def test_a_value_range_is_written_only_if_there_is_one() -> None:
    """Models of images of 8 bits keep the entries that earlier versions wrote and read."""
    deep = Preprocessing(size=(8, 9), value_range=[0, 4095])

    assert Preprocessing.from_dict(yaml.safe_load(yaml.safe_dump(deep.to_dict()))) == deep
    assert deep.to_dict()["value_range"] == [0, 4095]
    assert list(Preprocessing(size=(8, 9)).to_dict()) == ["size", "mean", "std", "color", "resize"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"size": (0, 5)}, "size: expected height and width in pixels, from 1 to 16384, got (0, 5)"),
        ({"size": (5,)}, "size: expected height and width"),
        ({"color": "rgb"}, "color: expected one of RGB, BGR, GRAY; got 'rgb'"),
        ({"resize": "pad"}, "resize: expected one of stretch, crop, letterbox; got 'pad'"),
        ({"mean": (0.1, 0.2)}, "mean: expected 3 numbers, one for each channel of RGB, or a single one; got 2"),
        ({"std": (0.1, 0.0, 0.2)}, "std: expected numbers greater than 0"),
        ({"value_range": (3, 3)}, "value_range: expected two different numbers, the values of black and white"),
        ({"value_range": (0, float("inf"))}, "value_range: expected two different numbers"),
        ({"value_range": (0, 1, 2)}, "value_range: expected two different numbers"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_expected(params: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(").replace(")", r"\)")):
        Preprocessing(**{"size": (4, 4), **params})


@pytest.mark.parametrize(("resize", "expected"), [("stretch", (32, 48)), ("crop", (36, 48)), ("letterbox", (32, 43))])
def test_the_size_to_which_an_image_is_scaled(resize, expected):
    assert Preprocessing(size=(32, 48), resize=resize).scaled_size(480, 640) == expected
