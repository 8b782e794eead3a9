"""Rendering of the page from its template."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cuelight.report import charts
from cuelight.report.numbers import number
from cuelight.utils.hidden_values import without_hidden_values
from cuelight.version import __version__


def render(contents: Mapping[str, Any], template: str = "page.html") -> str:
    """Render a page. Values from files of the run are escaped.

    The content security policy lets a browser load and run only what is in the page.
    """
    folder = resources.files("cuelight.report") / "page"
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("style.css", "hover.js"))
    links = contents["links"]
    text = (
        _environment()
        .get_template(template)
        .render(
            contents,
            link=lambda path: quote(os.fsencode(f"{links}/{path}" if links != "." else path)),
            style=Markup(style),  # noqa: S704 - files of this package
            script=Markup(script),  # noqa: S704
            style_hash=_hash(style),
            script_hash=_hash(script),
            frame=charts,
            version=__version__,
            made=f"{datetime.now().astimezone():%Y-%m-%d %H:%M}",
        )
    )
    return text.encode(errors="replace").decode()  # the name of a file need not be UTF-8


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cuelight.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_without_secrets,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "id": lambda text: re.sub(r"\W+", "-", text.lower())}
    return environment


def _without_secrets(value: Any) -> Any:
    """Hide the values of environment variables, except in the code of a picture."""
    return without_hidden_values(value) if type(value) is str and not value.startswith("data:") else value


def _hash(text: str) -> str:
    """Return the source of an inline style or script, as a content security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
