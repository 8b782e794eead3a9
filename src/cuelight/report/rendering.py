"""The template of the page, filled."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cuelight.report import charts
from cuelight.report.charts import Line
from cuelight.report.numbers import number
from cuelight.version import __version__


def render(contents: Mapping[str, Any]) -> str:
    """Fill the template. Whatever comes from a file of the run is text, never markup.

    Args:
        contents: What the page shows.

    Returns:
        The page. Its policy lets a browser run and load what is in it, and nothing else.
    """
    folder = resources.files("cuelight.report") / "page"
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("style.css", "hover.js"))
    links = contents["links"]
    text = (
        _environment()
        .get_template("page.html")
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
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "id": _identifier, "places": _places}
    return environment


def _hash(text: str) -> str:
    """What a content security policy calls the source of an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _identifier(text: str) -> str:
    return re.sub(r"\W+", "-", text.lower())


def _places(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """What the script needs of each curve."""
    return [{"label": line.series.label, "places": line.places} for line in lines]
