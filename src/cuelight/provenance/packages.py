"""Packages: their versions, and the commit that one was installed from."""

from __future__ import annotations

import importlib.util
import json
from importlib import metadata
from pathlib import Path
from typing import Any

from cuelight.provenance.repository import read_repository, tracks
from cuelight.utils.redaction import redacted_text


def installed_versions() -> dict[str, str]:
    """Return the version of every installed package, in alphabetical order."""
    headers = [one.metadata for one in metadata.distributions()]
    found = {header["Name"]: redacted_text(header["Version"]) for header in headers if header["Name"]}
    return {name: found[name] for name in sorted(found, key=str.lower)}


def describe_package(name: str, module: str) -> dict[str, Any]:
    """Return the ``version`` of a package, its ``origin`` in words, and the git hash as ``commit`` if there is one.

    The hash comes from the repository of its files, as with an editable install, or from the record of the
    installation (PEP 610). ``module`` is the name by which the package is imported. Raises GitError if git fails.
    """
    specification = importlib.util.find_spec(module)
    if specification is None or not specification.origin:
        return {"version": "none", "origin": "not installed"}
    version = _version(name)
    file = Path(specification.origin)
    if tracks(file):
        return {"version": version, "origin": "a git repository", **read_repository(file.parent).to_dict()}
    return {"version": version, **_installed_from(name, version)}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def _installed_from(name: str, version: str) -> dict[str, str]:
    record = _direct_url(name)
    url = redacted_text(str(record.get("url", "")))
    if "vcs_info" in record:
        commit = str(record["vcs_info"].get("commit_id", "unknown"))
        return {"origin": "installed from a git repository", "commit": commit, "remote": url}
    if "dir_info" in record:
        kind = "a folder"
    elif "archive_info" in record:
        kind = f"the file {url}"
    else:
        kind = "a release"
    return {"origin": f"installed from {kind}: version {version}, no git hash"}


def _direct_url(name: str) -> dict[str, Any]:
    try:
        text = metadata.distribution(name).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return {}
    record: dict[str, Any] = json.loads(text) if text else {}
    return record
