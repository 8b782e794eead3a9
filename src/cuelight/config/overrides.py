"""Change a configuration from the command line (``trainer.epochs=3``) or with a dict in Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cuelight.config.composing import DEEPEST
from cuelight.config.loading import COMMAND_LINE, OVERRIDE, Document, Location, parse_value
from cuelight.config.plain import to_plain
from cuelight.errors import ConfigError, Problem
from cuelight.utils import dot_paths


def apply_overrides(document: Document, overrides: Sequence[str] | Mapping[str, object]) -> list[Problem]:
    """Apply overrides to a document in place and in order; return the problems of those that are invalid.

    A text sets one value: ``a.b.0.c=value``, with the value as YAML. A mapping may be nested, may have dot paths as
    keys, and is merged key by key; a list in it replaces the existing list.
    """
    problems: list[Problem] = []
    if isinstance(overrides, str):
        overrides = [overrides]
    source = OVERRIDE if isinstance(overrides, Mapping) else COMMAND_LINE
    if isinstance(overrides, Mapping):
        settings = _leaves(to_plain(overrides, problems, source))
    else:
        settings = _parsed(overrides, problems)
    for path, value in settings:
        problems += _set(document, path, value, source)
    return problems


def _set(document: Document, path: str, value: object, source: str) -> list[Problem]:
    try:
        steps = dot_paths.split(path)
        if len(steps) > DEEPEST:
            raise dot_paths.PathError(f"values are nested more than {DEEPEST} levels deep")  # noqa: TRY301 - one report
        # Mappings that the override creates on the way belong to the override, too.
        made = next(
            (n for n in range(1, len(steps)) if not dot_paths.exists(document.tree, dot_paths.join(steps[:n]))), None
        )
        dot_paths.put(document.tree, path, value)
    except dot_paths.PathError as error:
        return [Problem(str(error), path, source)]
    changed = steps[:made]
    document.locations = {path: at for path, at in document.locations.items() if path[: len(changed)] != changed}
    document.locations[changed] = Location(source)
    return []


def _parsed(overrides: Sequence[str], problems: list[Problem]) -> Iterator[tuple[str, object]]:
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals or not path.strip():
            problems.append(
                Problem(
                    f'"{override}" is not an override; expected key=value, such as trainer.epochs=3', where=COMMAND_LINE
                )
            )
            continue
        try:
            yield path.strip(), parse_value(text, COMMAND_LINE)
        except ConfigError as error:
            problems += [
                Problem(f"{problem.message} (in the value {text})", path.strip(), COMMAND_LINE)
                for problem in error.problems
            ]


def _leaves(tree: object, above: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(tree, dict) and (tree or not above):
        for key, value in tree.items():
            yield from _leaves(value, f"{above}.{key}" if above else str(key))
    else:
        yield above, tree
