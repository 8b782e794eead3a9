"""What can be said of a configuration before torch is imported, which takes seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cuelight import registry
from cuelight.config import Config, load_config
from cuelight.errors import ConfigError, Problem
from cuelight.registry.values import convert


def check_names(source: Path, overrides: Sequence[str], to_train: bool) -> Config:
    """Read a file and check all names, parameters, types and ranges; ``to_train`` checks the data folder, too.

    Raises:
        ConfigError: With every problem found.
    """
    config = load_config(source, overrides, registry.check_part)
    if to_train and (problems := [*missing_data(config), *missing_weights(config)]):
        raise ConfigError(config.locate(problems))
    return config


def missing_data(config: Config) -> Iterator[Problem]:
    """Find a folder of images that does not exist."""
    path = config.data.params.get("path")
    reads_a_folder = config.data.name in registry.data.kind.builtins and path
    if not reads_a_folder or Path(str(path)).exists():
        return
    looked_for = getattr(path, "template", Path(str(path)).absolute())
    yield Problem(
        f"there is no such folder (looked for {looked_for}). A relative path starts at the working directory; change "
        "it with data.params.path=...",
        "data.params.path",
        on_this_machine=True,
    )


def missing_weights(config: Config) -> Iterator[Problem]:
    """Find weights to begin with that do not exist."""
    model = config.model
    places = [(model.init_from, "model.init_from", "run directory or file")]
    given = model.params.get("pretrained", False)
    if model.name in registry.models.kind.builtins and isinstance(convert(bool | str, given), str):
        places.append((given, "model.params.pretrained", "file; expected true, false or the path of one"))
    for path, key, expected in places:
        if path and not Path(path).exists():
            looked_for = getattr(path, "template", Path(path).absolute())
            yield Problem(f"there is no such {expected} (looked for {looked_for}).", key, on_this_machine=True)


def summary(config: Config) -> str:
    """Return what will be trained, in one line."""
    backbone = next((config.model.params[key] for key in ("backbone", "encoder") if key in config.model.params), "")
    names = [part.name for part in config.trainer.callbacks if part.active]
    callbacks = f"; callbacks: {', '.join(names)}" if names else ""
    return f"{config.name}: {config.model.name} {backbone}".rstrip() + f" on {config.data.name}{callbacks}"
