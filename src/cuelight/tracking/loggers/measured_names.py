"""Names under which a test after the training is logged."""

from __future__ import annotations

import re

_TEST = re.compile(r"^best/|(?:^|[/_.\- ])test(?:[/_.\- ]|$)")
_SPLIT = re.compile(r"^(?:train|val|test|best)/")


def is_measurement(name: str) -> bool:
    """Return whether a metric was measured by a test, which a resumed training does not repeat.

    Examples:
        >>> is_measurement("test/accuracy"), is_measurement("best/val/loss"), is_measurement("test_loss")
        (True, True, True)
        >>> is_measurement("val/accuracy"), is_measurement("train/latest")
        (False, False)
    """
    return _TEST.search(name) is not None


def is_picture_of_measurement(name: str) -> bool:
    """Return whether an image or a text was made by a test: it has the name of a split, as in ``val/predictions``."""
    return is_measurement(name) or _SPLIT.match(name) is not None
