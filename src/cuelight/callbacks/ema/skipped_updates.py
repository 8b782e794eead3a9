"""What is logged when the average is not updated, because the weights have NaN or infinity."""

from __future__ import annotations

from collections.abc import Sequence

_SHOWN = 6


def when_skipping_begins(step: int, names: Sequence[str]) -> str:
    """Return the warning at the first skipped update."""
    return (
        f"After step {step}, these contain NaN or infinity: {_listed(names)}. The average is not updated until they "
        "are finite again."
    )


def when_skipping_never_ended(step: int, names: Sequence[str]) -> str:
    """Return the warning at the end of a training whose average was last updated at ``step``."""
    return (
        f"The average was not updated after step {step}: until the end of the training, these contained NaN or "
        f"infinity: {_listed(names)}. What was validated, saved and is exported is the average of step {step}."
    )


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "weights on another device"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
