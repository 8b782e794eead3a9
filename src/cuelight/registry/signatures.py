"""Read the parameters of a class, with their types, defaults and help."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_MARKUP = (
    (re.compile(r":\w+:`~?(?:[\w.]+\.)?([^`<]+?)(?:\s*<[^>]+>)?`"), r"\1"),  # :class:`~torch.Tensor` -> Tensor
    (re.compile(r"`([^`<]+?)\s*<[^>]+>`_+"), r"\1"),  # `text <url>`_ -> text
    (re.compile(r"`+([^`]+)`+_*"), r"\1"),
)


def parameters_of(factory: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """Return the parameters that can be passed by name, without ``self``; and whether other names are accepted, too.

    A missing annotation is Any. Where a constructor accepts ``**kwargs``, the parameters of the base classes count as
    well.
    """
    constructors, skip = [factory], 0
    if isinstance(factory, type):  # most derived first; each has the argument self
        own = (vars(base).get("__init__") for base in factory.__mro__[:-1])
        constructors, skip = [constructor for constructor in own if inspect.isfunction(constructor)], 1
    parameters: dict[str, inspect.Parameter] = {}
    takes_any = False
    for function in constructors:
        takes_any = False
        for position, item in enumerate(inspect.signature(function).parameters.values()):
            if item.kind is item.VAR_KEYWORD:
                takes_any = True
            elif position >= skip and item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY):
                parameters.setdefault(item.name, item.replace(annotation=_annotation(function, item)))
        if not takes_any:
            break
    return parameters, takes_any


def parameter_help(factory: Callable[..., Any]) -> dict[str, str]:
    """Return the first paragraph of each parameter's description, without markup; base classes included."""
    from docstring_parser import DocstringStyle, ParseError, parse  # noqa: PLC0415 - the manifest has most texts

    texts: dict[str, str] = {}
    for source in factory.__mro__ if isinstance(factory, type) else (factory,):
        own = vars(source).get("__init__") if isinstance(source, type) else None
        for docstring in (source.__doc__, getattr(own, "__doc__", None)):
            with suppress(ParseError):  # some docstrings of torchvision are malformed
                for entry in parse(docstring or "", style=DocstringStyle.GOOGLE).params:
                    if entry.args[0] != "attribute":
                        paragraph = (entry.description or "").partition("\n\n")[0].partition("\n..")[0]
                        texts.setdefault(entry.arg_name.lstrip("*"), _without_markup(paragraph))
    return texts


def summary(factory: Callable[..., Any]) -> str:
    """Return the first sentence of the docstring, without markup; empty if there is none."""
    text = _without_markup((inspect.getdoc(factory) or "").partition("\n\n")[0])
    sentence = re.match(r".*?[.!?](?=\s+[A-Z]|$)", text)
    return sentence[0] if sentence else text


def _annotation(function: Callable[..., Any], item: inspect.Parameter) -> Any:
    if item.annotation is item.empty:
        return Any

    def carrier() -> None: ...

    # One at a time: a name imported only for type checking must not affect the other annotations.
    carrier.__annotations__ = {item.name: item.annotation}
    names = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        annotation = typing.get_type_hints(carrier, globalns=names, include_extras=True)[item.name]
    except (NameError, TypeError, AttributeError, SyntaxError):
        return Any
    return typing.Optional[annotation] if item.default is None else annotation  # noqa: UP045 - not known here


def _without_markup(text: str) -> str:
    for pattern, plain in _MARKUP:
        text = pattern.sub(plain, text)
    return " ".join(text.split())
