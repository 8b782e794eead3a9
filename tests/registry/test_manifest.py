"""What a file may use is known without importing the classes, and is what the classes say."""

import json
import subprocess
import sys
from importlib import resources

import pytest

from cuelight import registry
from cuelight.registry import manifest as module
from cuelight.registry.entries import signature_of
from cuelight.registry.kinds import KINDS
from cuelight.registry.manifest import make_manifest, manifest
from cuelight.registry.signatures import parameters_of
from cuelight.registry.type_codes import decode_type, encode_type
from support.experiments import write_yaml

IN_PACKAGE = json.loads((resources.files("cuelight.registry") / "manifest.json").read_text(encoding="utf-8"))
BUILTINS = [(kind.name, name) for kind in KINDS for name in kind.builtins]


def test_the_manifest_of_the_package_is_what_the_code_says() -> None:
    assert make_manifest() == IN_PACKAGE, "Run: make manifest"


@pytest.mark.parametrize(("kind", "name"), BUILTINS)
def test_types_survive(kind, name) -> None:
    read, takes_any = signature_of(IN_PACKAGE["parts"][kind][name])
    real, also_any = parameters_of(registry.registry_of(kind).get(name))
    assert (list(read), takes_any) == (list(real), also_any)
    for key, parameter in real.items():
        assert encode_type(decode_type(encode_type(parameter.annotation))) == encode_type(parameter.annotation), key
        assert (read[key].default is parameter.empty) == (parameter.default is parameter.empty), key


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """Another version of a library, and a cache folder of its own."""
    monkeypatch.setattr(module.platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    monkeypatch.setattr(module, "installed_versions", lambda: IN_PACKAGE["versions"] | {"torch": "99.0"})
    module.manifest.cache_clear()
    yield tmp_path / "cuelight"
    module.manifest.cache_clear()


def test_other_versions_are_read_from_the_code_once_and_kept(fresh, monkeypatch) -> None:
    assert manifest()["versions"]["torch"] == "99.0"
    (kept,) = fresh.iterdir()
    monkeypatch.setattr(module, "make_manifest", None)
    module.manifest.cache_clear()
    assert manifest() == json.loads(kept.read_text())


@pytest.mark.parametrize("damage", ["", "[" * 100_000, "[]", "{}", '{"versions": 3}'])
def test_a_damaged_cache_is_replaced(fresh, damage) -> None:
    made = manifest()
    (kept,) = fresh.iterdir()
    kept.write_text(damage)
    module.manifest.cache_clear()
    assert manifest() == made == json.loads(kept.read_text())


def test_a_cache_that_cannot_be_written_does_no_harm(fresh) -> None:
    fresh.write_text("a file in its place")
    assert manifest()["parts"].keys() == IN_PACKAGE["parts"].keys()


def test_a_cache_does_not_widen_the_lists(fresh) -> None:
    manifest()
    (kept,) = fresh.iterdir()
    kept.write_text(kept.read_text().replace('"Timer":', '"Backdoor":'))
    module.manifest.cache_clear()
    problems = registry.callbacks.problems({"name": "Backdoor"}, "x")
    assert 'unknown callback "Backdoor"' in problems[0].message
    assert registry.callbacks.problems({"name": "Timer", "params": {"duration": "1h"}}, "x") == []


FIVE_MISTAKES = {
    "model": {"name": "ClassificationModel", "params": {"backbone": "resnet81", "drop_rate": 2}},
    "data": {"name": "Digit"},
    "trainer": {"epoch": 3, "callbacks": [{"name": "EMACallback", "params": {"decay": 1.5}}]},
}


def test_mistakes_are_found_without_importing_a_class(tmp_path) -> None:
    write_yaml(tmp_path / "bad.yaml", FIVE_MISTAKES)
    code = (
        "import sys; from cuelight.cli.main import main; code = main(['train', 'bad.yaml']);"
        "heavy = {'torch', 'lightning', 'timm', 'torchvision', 'torchmetrics', 'numpy'} & sys.modules.keys();"
        "sys.exit(code if not heavy else str(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    for said in (
        'unknown network "resnet81". Did you mean', "drop_rate: expected a number", 'unknown data "Digit"',
        'unknown key "epoch"', "decay: expected a number of at least 0 and less than 1, got 1.5",
    ):  # fmt: skip
        assert said in done.stderr
