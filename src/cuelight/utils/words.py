"""Names, and lists of them."""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST = 1000


def first_of(names: Sequence[str], most: int) -> str:
    """Join at most so many names, and count the others.

    Examples:
        >>> first_of(["cat", "dog", "bird"], 2)
        'cat, dog and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def is_text(name: object) -> bool:
    """Return whether a name or a path is text; that of a file may have any bytes, which Python keeps as surrogates."""
    try:
        str(name).encode()
    except UnicodeEncodeError:
        return False
    return True


def checked_names(names: object) -> tuple[str, ...]:
    """Return class names, which were read from a file, as a tuple.

    Raises:
        ValueError: They are not a list of texts, or one is too long to be shown.
    """
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ValueError("class_names: expected a list of texts")
    if not all(map(is_text, names)):
        raise ValueError("class_names: expected text in UTF-8")
    if (longest := max(map(len, names), default=0)) > _LONGEST:
        raise ValueError(f"class_names: expected at most {_LONGEST} characters for each, got {longest}")
    return tuple(names)
