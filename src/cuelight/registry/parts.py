"""The registry: the names that a file may use, and how to build objects from them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, TypeVar, overload

from cuelight.config import Part
from cuelight.errors import ConfigError, CuelightError, ParameterError, Problem, UsageError, did_you_mean
from cuelight.registry.checking import check_parameters, fits
from cuelight.registry.describe import PartInfo, describe
from cuelight.registry.entries import describe_class, signature_of
from cuelight.registry.kinds import KINDS, Kind, PartKind
from cuelight.registry.manifest import part_of
from cuelight.registry.signatures import parameters_of
from cuelight.registry.values import convert, is_plain, plain
from cuelight.utils.hidden_values import without_hidden_values

Factory = Callable[..., Any]
_Registered = TypeVar("_Registered", bound=Factory)

_MOST_LISTED = 15
_OWN_PARTS = " To use your own class, pass --source FILE.py."


class Registry:
    """The names of one kind of part.

    A name comes from Cuelight's closed list, from :meth:`register`, or from an entry point of an installed package in
    the group ``cuelight.<plural of the kind>``.

    Args:
        kind: The kind of the parts.

    Examples:
        >>> from cuelight import registry
        >>> @registry.callbacks.register
        ... class SayHello:
        ...     '''Greets.'''
        ...
        ...     def __init__(self, greeting: str = "hello") -> None:
        ...         self.greeting = greeting
        >>> registry.callbacks.build({"name": "SayHello", "params": {"greeting": "hi"}}).greeting
        'hi'
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._own: dict[str, Factory] = {}

    @overload
    def register(self, cls: _Registered) -> _Registered: ...

    @overload
    def register(self, *, name: str | None = None) -> Callable[[_Registered], _Registered]: ...

    def register(self, cls: _Registered | None = None, *, name: str | None = None) -> Any:
        """Register your own class or function; a decorator.

        Args:
            cls: The class or function.
            name: Its name in YAML; its ``__name__`` by default.

        Returns:
            The class or function, or a decorator.

        Raises:
            CuelightError: The name is taken.
        """
        if cls is None:
            return lambda decorated: self._add(decorated, name)
        return self._add(cls, name)

    def names(self) -> list[str]:
        """Return every name that a file may use: those of Cuelight, of installed packages and of ``--source`` files.

        Raises:
            CuelightError: Two packages, or a package and Cuelight, offer the same name.
        """
        return [*self.kind.builtins, *self._plug_ins, *self._own]

    def get(self, name: str) -> Factory:
        """Import and return the class or function with a registered name.

        Raises:
            CuelightError: The name is unknown, or its class cannot be imported.
        """
        if name in self._own:
            return self._own[name]
        plug_in = self._plug_ins.get(name)
        if name not in self.kind.builtins and plug_in is None:
            raise UsageError(self._unknown(name))
        try:
            if plug_in is not None:
                factory: Factory = plug_in.load()
            else:
                module, _, attribute = self.kind.builtins[name].partition(":")
                factory = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            source = f" of the package {plug_in.dist.name}" if plug_in is not None and plug_in.dist else ""
            raise CuelightError(f'the {self.kind.name} "{name}"{source} cannot be imported: {error}') from error
        if not callable(factory):
            raise CuelightError(f'the {self.kind.name} "{name}" is not a class; its entry point must refer to one')
        return factory

    def describe(self, name: str) -> PartInfo:
        """Return the summary and the parameters of a registered part, read from its code.

        Raises:
            CuelightError: The name is unknown, or its class cannot be imported.
        """
        return describe(name, self.entry(name), self.kind)

    def entry(self, name: str) -> Mapping[str, Any]:
        """Return the description of a part, as in the manifest; the class of a built-in part is not imported.

        Raises:
            CuelightError: The name is unknown, or a class of your own cannot be imported.
        """
        if name in self.kind.builtins:
            return part_of(self.kind.name, name)
        return describe_class(self.get(name))

    def problems(self, part: Mapping[str, Any], path: str) -> list[Problem]:
        """Check the name and the parameters of a part; no class of a built-in part is imported.

        Args:
            part: An entry with ``name`` and optionally ``params``.
            path: The dot path of the entry, for the problems.
        """
        try:
            parameters, takes_any = signature_of(self.entry(part["name"]))
        except CuelightError as error:
            return [Problem(str(error), f"{path}.name")]
        given = part.get("params") or {}
        return check_parameters(str(part["name"]), self.kind, parameters, takes_any, given, path, check_part)

    def further_problems(self, part: Mapping[str, Any], path: str) -> list[Problem]:
        """Ask the class of a part that has no ``problems``.

        A class can check more than types, such as names that a library has, in a class method
        ``parameter_problems(params, path)`` that returns further problems. Its ``params`` are what the constructor
        would get: converted to their types, with environment variables filled in.

        Args:
            part: An entry with ``name`` and optionally ``params``.
            path: The dot path of the entry, for the problems.
        """
        parameters = part.get("params") or {}
        try:
            factory = self.get(part["name"])
        except CuelightError as error:
            return [Problem(str(error), f"{path}.name")]
        further = getattr(factory, "parameter_problems", None)
        if further is None:
            return []
        found = further(_converted(factory, parameters), f"{path}.params".removeprefix("."))
        return [problem._replace(message=without_hidden_values(problem.message)) for problem in found]

    def defaults(self, name: str) -> dict[str, Any]:
        """Return the default of each parameter that a file may set and the run does not supply, as plain values."""
        not_in_file = {*self.kind.reserved, *self.kind.supplied}
        factory = self.get(name)
        parameters, _ = parameters_of(factory)
        if not factory.__module__.startswith("cuelight."):  # others may pass arguments on to a base class
            parameters = {key: parameters[key] for key in inspect.signature(factory).parameters if key in parameters}
        return {
            key: plain(parameter.default)
            for key, parameter in parameters.items()
            if key not in not_in_file
            and is_plain(parameter.default)
            and fits(parameter.annotation, plain(parameter.default))
        }

    def build(self, part: Part | Mapping[str, Any], /, **provided: Any) -> Any:
        """Build the object that a part describes.

        Args:
            part: Name and parameters.
            **provided: Arguments from the run. One that the class does not take, or that the file sets, is ignored.

        Raises:
            ConfigError: The part is invalid, or its class rejects the parameters.
        """
        entry = {"name": part.name, "params": part.params} if isinstance(part, Part) else part
        if found := self.problems(entry, ""):
            raise ConfigError([Problem(item.message, item.path.removeprefix(".")) for item in found])
        name = str(entry["name"])
        parameters: Any = entry.get("params") or {}
        factory = self.get(name)
        known, _ = parameters_of(factory)
        arguments = {key: value for key, value in provided.items() if key in known}
        try:
            return factory(**(arguments | _converted(factory, parameters)))
        except ParameterError as error:
            found = [
                Problem(without_hidden_values(message), f"params.{key}") for key, message in error.messages.items()
            ]
            raise ConfigError(found) from error
        except (TypeError, ValueError) as error:
            reason = without_hidden_values(str(error))
            raise ConfigError([Problem(f"invalid parameters for {name}: {reason}")]) from error

    def _add(self, factory: _Registered, name: str | None) -> _Registered:
        chosen = name or str(getattr(factory, "__name__", ""))
        if not callable(factory) or not chosen.isidentifier():
            raise CuelightError(f"{factory!r} cannot be registered: expected a named class")
        before = self._own.get(chosen)
        # A notebook cell that is run again replaces the class that it registered before.
        same = before is not None and _origin(before) == _origin(factory)
        if chosen in self.names() and not same:
            raise CuelightError(
                f'the name "{chosen}" is already taken by another {self.kind.name}; choose another one, such as '
                f'@{self.kind.plural}.register(name="My{chosen}")'
            )
        self._own[chosen] = factory
        return factory

    @cached_property
    def _plug_ins(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for point in entry_points(group=f"cuelight.{self.kind.plural}"):
            taken = point.name in self.kind.builtins or point.name in self._own
            if taken or (point.name in found and found[point.name].value != point.value):
                package = point.dist.name if point.dist else point.value
                raise CuelightError(
                    f'the package {package} offers a {self.kind.name} under the name "{point.name}", which is '
                    "already taken; uninstall one of the two"
                )
            found[point.name] = point
        return found

    def _unknown(self, name: object) -> str:
        names = self.names()
        shown = repr(name) if not isinstance(name, str) else f'"{getattr(name, "template", name)}"'
        message = f"unknown {self.kind.name} {shown}."
        last = str(name).replace(":", ".").rpartition(".")[2]
        if last != name and last in names:
            return f'{message} Write "{last}" instead.'
        listed = names if len(names) <= _MOST_LISTED else [*names[:_MOST_LISTED], f"... ({len(names)} in all)"]
        return message + (did_you_mean(str(name), names) or f" Available: {', '.join(listed)}.") + _OWN_PARTS


def check_part(kind: str, part: Mapping[str, Any], path: str) -> list[Problem]:
    """Check one part of a configuration; the ``check_part`` of :func:`cuelight.config.load_config`."""
    return registry_of(kind).problems(part, path)


def further_problems(kind: str, part: Mapping[str, Any], path: str) -> list[Problem]:
    """Ask the class of a part of a configuration that ``check_part`` accepts."""
    return registry_of(kind).further_problems(part, path)


def registry_of(kind: str) -> Registry:
    """Return the registry of a kind: callback, model, data, optimizer, scheduler or transform."""
    if kind not in _REGISTRIES:
        raise CuelightError(f'unknown kind "{kind}"; expected one of: {", ".join(_REGISTRIES)}')
    return _REGISTRIES[kind]


def _converted(factory: Factory, parameters: Mapping[str, Any]) -> dict[str, Any]:
    known, _ = parameters_of(factory)
    return {key: convert(known[key].annotation if key in known else Any, value) for key, value in parameters.items()}


def _origin(factory: Factory) -> tuple[str, str]:
    return getattr(factory, "__module__", ""), getattr(factory, "__qualname__", "")


_REGISTRIES = {kind.name: Registry(kind) for kind in KINDS}

callbacks = registry_of("callback")
models = registry_of("model")
data = registry_of("data")
optimizers = registry_of("optimizer")
schedulers = registry_of("scheduler")
transforms = registry_of("transform")

TransformPart = Annotated[Part, PartKind("transform")]
"""A transform of torchvision by name and parameters, as the type of a parameter."""
