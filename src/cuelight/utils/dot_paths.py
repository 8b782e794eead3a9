"""Dot paths, such as ``trainer.callbacks.0.params.patience``, on trees of mappings, lists and scalars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cuelight.errors import did_you_mean


class PathError(LookupError):
    """A dot path does not exist; the message names the step and what is there instead."""


def split(path: str) -> tuple[str, ...]:
    """Split a dot path into keys and indices, all as text. Raises PathError if one is empty.

    Examples:
        >>> split("trainer.callbacks.0.name")
        ('trainer', 'callbacks', '0', 'name')
    """
    if not path:
        return ()
    parts = tuple(path.split("."))
    if not all(parts) or any(part != part.strip() for part in parts):
        raise PathError(f'"{path}" is not a valid path; expected keys separated by dots, such as trainer.epochs')
    return parts


def join(parts: Iterable[object]) -> str:
    """Join keys and indices to a dot path.

    Examples:
        >>> join(["trainer", "callbacks", 0])
        'trainer.callbacks.0'
    """
    return ".".join(str(part) for part in parts)


def get(tree: object, path: str) -> Any:
    """Return the value at a dot path. Raises PathError if there is none.

    Examples:
        >>> get({"callbacks": [{"name": "Timer"}]}, "callbacks.0.name")
        'Timer'
    """
    node = tree
    for step, part in enumerate(split(path)):
        node = _child(node, part, join(split(path)[:step]))
    return node


def exists(tree: object, path: str) -> bool:
    """Return whether there is a value at a dot path, None included."""
    try:
        get(tree, path)
    except PathError:
        return False
    return True


def put(tree: dict[Any, Any], path: str, value: object) -> None:
    """Set the value at a dot path in place. Mappings on the way are created where there is nothing, null or a boolean.

    Raises PathError if the path is empty, goes through another scalar, or names a list entry that does not exist.
    """
    *parents, last = split(path) or ("",)
    if not last:
        raise PathError("the path is empty: write a key, such as trainer.epochs")
    node: Any = tree
    for step, part in enumerate(parents):
        above = join(parents[:step])
        if isinstance(node, dict):
            key = _key(node, part)
            if node.get(key) is None or isinstance(node[key], bool):
                node[key] = {}
            node = node[key]
        else:
            node = _child(node, part, above)
    if isinstance(node, dict):
        node[_key(node, last)] = value
    elif isinstance(node, list):
        node[_index(node, last, join(parents))] = value
    else:
        raise PathError(_no_keys(node, join(parents)))


def flattened(tree: object, path: str = "") -> dict[str, Any]:
    """Return a mapping from dot paths to scalars, lists of scalars, and empty mappings and lists.

    Each path starts with ``path``.

    Examples:
        >>> flattened({"optimizer": {"name": "SGD", "params": {"betas": [0.9, 0.99]}}, "steps": [{"at": 3}]})
        {'optimizer.name': 'SGD', 'optimizer.params.betas': [0.9, 0.99], 'steps.0.at': 3}
    """
    if isinstance(tree, Mapping) and tree:
        children: Iterable[tuple[object, object]] = tree.items()
    elif isinstance(tree, (list, tuple)) and any(isinstance(entry, (Mapping, list, tuple)) for entry in tree):
        children = enumerate(tree)
    else:
        return {path: tree}
    flat: dict[str, Any] = {}
    for key, value in children:
        flat |= flattened(value, join([path, key] if path else [key]))
    return flat


def _child(node: object, part: str, above: str) -> object:
    if isinstance(node, Mapping):
        key = _key(node, part)
        if key in node:
            return node[key]
        place = f"{above} has" if above else "there is"
        raise PathError(f'{place} no key "{part}".{did_you_mean(part, map(str, node))}')
    if isinstance(node, (list, tuple)):
        return node[_index(node, part, above)]
    raise PathError(_no_keys(node, above))


def _key(node: Mapping[Any, object], part: str) -> str | int:
    """Return the key that a part of a path means: an integer if the mapping has integer keys."""
    if part in node or not (part.isascii() and part.removeprefix("-").isdigit()):
        return part
    return int(part) if node and all(isinstance(key, int) for key in node) else part


def _index(node: list[Any] | tuple[Any, ...], part: str, above: str) -> int:
    count = len(node)
    allowed = {0: "it has no entries", 1: "its only entry is 0"}.get(count, f"its entries are 0 to {count - 1}")
    if part.isascii() and part.isdigit() and len(part) < 10 and int(part) < count:  # noqa: PLR2004
        return int(part)
    raise PathError(f'{above} is a list and has no entry "{part}": {allowed}')


def _no_keys(node: object, above: str) -> str:
    kind = "empty (null)" if node is None else "a single value"
    return f"{above} is {kind}: it has no keys below it"
