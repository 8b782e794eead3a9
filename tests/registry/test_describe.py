"""What is said about a registered class."""

from pathlib import Path
from typing import Any, Literal

import pytest

from cuelight import registry
from cuelight.registry import Registry, TransformPart
from cuelight.registry.describe import type_text
from cuelight.registry.kinds import KINDS
from cuelight.registry.type_codes import encode_type


class Base:
    """A base.

    Args:
        width: How wide, see :class:`~torch.nn.Linear`.
        depth: Of the base.
    """

    def __init__(self, width: int, depth: int = 1) -> None: ...


class Described(Base):
    """Does a thing, e.g. this. And more.

    Longer text.

    Args:
        depth (int, optional): How ``deep``;
            over two lines.

            .. note:: not this
        mode: One of two.

    Raises:
        ValueError: never: ever.
    """

    def __init__(
        self, depth: int = 3, mode: Literal["a", "b"] = "a", flags: tuple[bool, ...] = (True, False), **kw: Any
    ) -> None: ...


@pytest.fixture
def info():
    own = Registry(KINDS[0])
    own.register(Described)
    return own.describe("Described")


def test_summary_is_the_first_sentence(info):
    assert info.summary == "Does a thing, e.g. this."


def test_parameters_with_types_defaults_and_help(info):
    assert [(p.name, p.annotation, p.default, p.required, p.help) for p in info.parameters] == [
        ("depth", "int", "3", False, "How deep; over two lines."),
        ("mode", "'a' | 'b'", "a", False, "One of two."),
        ("flags", "tuple[bool, ...]", "[true, false]", False, ""),
        ("width", "int", "", True, "How wide, see Linear."),
    ]


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (Any, ""),
        (int | None, "int | None"),
        (dict[str, list[float]], "dict[str, list[float]]"),
        (Path, "Path"),
        (list[TransformPart] | None, "list of transform parts | None"),
        (TransformPart, "transform part"),
        (list[Any], "list[Any]"),
    ],
)
def test_types_as_text(annotation, text):
    assert type_text(encode_type(annotation)) == text


def test_classes_of_torch_are_described():
    (lr, *_) = registry.optimizers.describe("AdamW").parameters
    assert (lr.name, lr.default, lr.required) == ("lr", "0.001", False)
    assert lr.help.startswith("learning rate")
    step_size, *_ = registry.schedulers.describe("StepLR").parameters
    assert (step_size.name, step_size.annotation, step_size.required) == ("step_size", "int", True)
