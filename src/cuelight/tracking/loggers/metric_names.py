"""Metric and hyperparameter names that MLflow accepts."""

from __future__ import annotations

import hashlib
import logging
import posixpath
import re
from collections.abc import Mapping

logger = logging.getLogger(__name__)

_LONGEST = 250
_REFUSED = re.compile(r"[^A-Za-z0-9_./ -]")
# Readable replacements; a name changed by these alone gets no hash.
_WORDS = {"%": "percent", "°": "deg", "µ": "u", "(": "", ")": "", ":": ""}


def mlflow_name(name: str) -> str:
    """Return a name that MLflow accepts: letters, digits, ``_ - . /`` and spaces.

    The result depends on the name alone. If more changes than units and brackets, a short hash of the name is
    appended, so that two names stay different.

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
    """Append six digits of the hash of ``name`` to a name that MLflow accepts."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{taken[: _LONGEST - 7]}-{digest}"


def _is_path(name: str) -> bool:
    """Whether MLflow accepts it as a unique path."""
    return posixpath.normpath(name) == name and not name.startswith(("/", "..")) and name != "."


class MetricNames:
    """Unique MLflow names for the metrics of a run, which may log them in another order after a resume.

    ``owners`` has the first metric for each MLflow name that differs from the name of a metric.
    """

    def __init__(self, owners: Mapping[str, str] | None = None) -> None:
        self.owners = dict(owners or {})
        self._taken: dict[str, str] = {}
        self._names = dict(self.owners)

    def taken(self, name: str) -> str:
        """Return the name as by ``mlflow_name``; with a hash if another metric of the run has that name."""
        if name not in self._taken:
            taken = mlflow_name(name)
            owner = self._names.setdefault(taken, name)
            if name != taken:
                self.owners[taken] = owner
            if owner != name:
                taken = marked(taken, name)
                logger.warning('MLflow logs "%s" as "%s", because another metric has that name.', name, taken)
            self._taken[name] = taken
        return self._taken[name]
