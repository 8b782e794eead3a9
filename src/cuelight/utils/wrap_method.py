"""Steps of Lightning's trainer that have no hook which comes before, or after, those of all callbacks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any


def wrap_method(owner: Any, method: str, around: Callable[..., Any]) -> Callable[[], None]:
    """Run a function around a method of one object.

    A hook of a callback sees the work of the callbacks that stand before it in the list, and not that of those after
    it. What has to hold for all of them, in any order, is set up here instead.

    Args:
        owner: The object, such as a loop of the trainer.
        method: The name of its method.
        around: Called in place of the method, with the method as first argument, then those of the call; returns
            what the method shall return.

    Returns:
        What makes the object as it was.
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
