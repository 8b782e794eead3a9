"""Names that MLflow takes."""

from __future__ import annotations

import hashlib
import logging
import posixpath
import re
from collections.abc import Mapping

logger = logging.getLogger(__name__)

_LONGEST = 250
_REFUSED = re.compile(r"[^A-Za-z0-9_./ -]")
# What a reader makes of them: a name that these suffice for needs no further mark to stay apart from others.
_WORDS = {"%": "percent", "°": "deg", "µ": "u", "(": "", ")": "", ":": ""}


def mlflow_name(name: str) -> str:
    """Make a name of a metric or a hyperparameter that MLflow takes: letters, digits and ``_ - . /`` and spaces.

    The same name always gives the same. A name that needs more than units spelled out and brackets left out gets a
    short hash of itself, so that two names do not become one.

    Args:
        name: Any name.

    Returns:
        The name itself where MLflow takes it.

    Examples:
        >>> mlflow_name("val/loss"), mlflow_name("device_id: 0/utilization.gpu (%)")
        ('val/loss', 'device_id 0/utilization.gpu percent')
        >>> mlflow_name("device_id: 0/temperature.gpu (°C)")
        'device_id 0/temperature.gpu degC'
        >>> mlflow_name("loss[a]"), mlflow_name("loss{a}")
        ('loss_a_-6e4238', 'loss_a_-064440')
    """
    words = "".join(_WORDS.get(letter, letter) for letter in name)
    plain = _REFUSED.sub("_", words)
    whole = plain if _is_path(plain) else plain.replace("/", "_").strip(".") or "_"
    if whole == words and len(whole) <= _LONGEST:
        return whole
    return marked(whole, name)


def marked(taken: str, name: str) -> str:
    """Add a short hash to a name that MLflow takes.

    Args:
        taken: The name.
        name: What it stands for.

    Returns:
        The name with six digits of the hash of what it stands for.
    """
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{taken[: _LONGEST - 7]}-{digest}"


def _is_path(name: str) -> bool:
    """Whether MLflow finds it a unique path."""
    return posixpath.normpath(name) == name and not name.startswith(("/", "..")) and name != "."


class MetricNames:
    """The names that MLflow takes for those of one run, no two of them the same.

    Args:
        owners: The ``owners`` of the same run before it was resumed, which may log in another order.

    Attributes:
        owners: Whose a name is that MLflow takes, where that depends on which one came first.
    """

    def __init__(self, owners: Mapping[str, str] | None = None) -> None:
        self.owners = dict(owners or {})
        self._taken: dict[str, str] = {}
        self._names = dict(self.owners)

    def taken(self, name: str) -> str:
        """Return the name that MLflow takes.

        Args:
            name: Any name.

        Returns:
            As ``mlflow_name``; with a hash where another name of this run has that one.
        """
        if name not in self._taken:
            taken = mlflow_name(name)
            owner = self._names.setdefault(taken, name)
            if name != taken:
                self.owners[taken] = owner
            if owner != name:
                taken = marked(taken, name)
                logger.warning('MLflow gets "%s" as "%s": the name without that is taken by another one.', name, taken)
            self._taken[name] = taken
        return self._taken[name]
