"""Lists of names in messages."""

from __future__ import annotations

from collections.abc import Sequence


def first_of(names: Sequence[str], most: int) -> str:
    """Join at most so many names, and count the others.

    Examples:
        >>> first_of(["cat", "dog", "bird"], 2)
        'cat, dog and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
