"""Wrap methods of Lightning's trainer that have no hook before, or after, the hooks of all callbacks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any


def wrap_method(owner: Any, method: str, around: Callable[..., Any]) -> Callable[[], None]:
    """Replace a method of one object by a function around it, and return a function that undoes this.

    A callback's hook sees the effects of the callbacks before it in the list, but not of those after it. Use this for
    what must hold for all of them, in any order. ``around`` is called with the original method, then the arguments of
    the call; its result is returned to the caller.
    """
    inner = getattr(owner, method)
    own = vars(owner).get(method)

    @wraps(inner)
    def surrounded(*args: Any, **kwargs: Any) -> Any:
        return around(inner, *args, **kwargs)

    setattr(owner, method, surrounded)

    def undo() -> None:
        if own is None:
            delattr(owner, method)
        else:
            setattr(owner, method, own)

    return undo
