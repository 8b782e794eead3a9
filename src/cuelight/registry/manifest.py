"""The parameters of all built-in parts, known without importing their classes.

The package brings a file that was made from the code and from certain versions of the libraries. With others, it is
made again by importing them, and kept in the user's cache folder.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import platformdirs

from cuelight.registry.builtins import NAME_LISTS
from cuelight.registry.kinds import KINDS
from cuelight.utils.files import write_text

FILE = "manifest.json"
LIBRARIES = ("lightning", "torch", "torchvision", "timm", "segmentation-models-pytorch")


@cache
def manifest() -> dict[str, Any]:
    """Return ``versions``, ``parts`` by kind and name, and lists of ``names`` that a library has."""
    versions = installed_versions()
    cached = _cache_file(versions)
    for read in (resources.files("cuelight.registry") / FILE, cached):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            found: dict[str, Any] = json.loads(read.read_text(encoding="utf-8"))
            if found["versions"] == versions and _is_complete(found):
                return found
    made = make_manifest()
    with suppress(OSError):
        write_text(cached, json.dumps(made))
    return made


def _is_complete(found: Mapping[str, Any]) -> bool:
    parts, names = found["parts"], found["names"]
    return names.keys() >= NAME_LISTS.keys() and all(kind.builtins.keys() <= parts[kind.name].keys() for kind in KINDS)


def make_manifest() -> dict[str, Any]:
    """Return the manifest of the installed versions, made from the code; this imports all libraries."""
    from cuelight.registry.entries import describe_class  # noqa: PLC0415 - pydantic, for what the file has as a rule

    parts = {
        kind.name: {name: describe_class(pkgutil.resolve_name(place)) for name, place in kind.builtins.items()}
        for kind in KINDS
    }
    names = {name: sorted(pkgutil.resolve_name(place)()) for name, place in NAME_LISTS.items()}
    return {"versions": installed_versions(), "parts": parts, "names": names}


def write_manifest() -> None:
    """Write the file that the package brings; ``make manifest`` does this."""
    write_text(Path(__file__).with_name(FILE), f"{_lines(make_manifest(), depth=2)}\n")


def _lines(tree: Mapping[str, Any], depth: int) -> str:
    """Return JSON with a line for each entry ``depth`` mappings below, so that a change of a part is a changed line."""
    entries = [
        f"{json.dumps(key)}: "
        + (_lines(value, depth - 1) if depth and isinstance(value, Mapping) else json.dumps(value, ensure_ascii=False))
        for key, value in tree.items()
    ]
    return "{\n" + ",\n".join(entries) + "\n}"


def part_of(kind: str, name: str) -> Mapping[str, Any]:
    """Return ``summary``, ``takes_any`` and ``parameters`` of a built-in part."""
    entry: dict[str, Any] = manifest()["parts"][kind][name]
    return entry


def installed_versions() -> dict[str, str]:
    """Return the versions of the libraries whose names a file may use; builds for other devices are the same."""
    return {library: metadata.version(library).partition("+")[0] for library in LIBRARIES}


def _cache_file(versions: Mapping[str, str]) -> Path:
    packaged = (resources.files("cuelight.registry") / FILE).read_bytes()  # changes with the code of a version
    key = sha256(packaged + json.dumps(versions).encode()).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("cuelight")) / f"manifest-{key}.json"
