"""Types of configuration values."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from cuelight.config.durations import EXPECTED, read_duration
from cuelight.utils.environment import EnvironmentText

_LONGEST_NAME = 200  # bytes; file systems allow 255


class Section(BaseModel):
    """A mapping of the file. Unknown keys are an error; instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _keep_hidden(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """Keep :class:`EnvironmentText`, which Pydantic would convert to a plain str that shows its value."""
    checked = handler(value)
    return value if isinstance(value, EnvironmentText) and checked == str(value) else checked


def _run_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w .+=-]*", name) or name.endswith((" ", ".")) or len(name.encode()) > _LONGEST_NAME:
        raise ValueError("expected a short folder name of letters, digits, spaces and . _ + = -")
    return name


def _max_time(value: object) -> object:
    if isinstance(value, (str, dict)):
        read_duration(value)
    elif value is not None:
        raise ValueError(EXPECTED)
    return value


def _devices(value: object) -> object:
    if value == [] or (isinstance(value, int) and not isinstance(value, bool) and (value == 0 or value < -1)):
        raise ValueError("expected a number of devices (at least 1, or -1 for all) or a non-empty list")
    return value


Text = Annotated[str, WrapValidator(_keep_hidden)]
Name = Annotated[Text, Field(min_length=1)]
AtLeast0 = Annotated[int, Field(ge=0)]
AtLeast1 = Annotated[int, Field(ge=1)]
RunName = Annotated[Text, AfterValidator(_run_name)]
MaxTime = Annotated[Text | dict[str, float] | None, BeforeValidator(_max_time)]
Devices = Annotated[int | Literal["auto"] | list[int], AfterValidator(_devices)]
# A section whose keys are all commented out reads as null, and means its defaults.
EMPTY_IF_NULL = BeforeValidator(lambda value: {} if value is None else value)
NO_ENTRIES_IF_NULL = BeforeValidator(lambda value: [] if value is None else value)
Precision = Literal[
    "32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true", "transformer-engine",
    "transformer-engine-float16", "32", "16", "bf16", "64", 32, 16, 64,
]  # fmt: skip
