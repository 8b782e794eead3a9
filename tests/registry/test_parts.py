# ruff: noqa: E501 - whole messages, to be read as a person reads them
"""The closed lists, own parts, building and hostile names."""

import importlib.metadata
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torchvision.transforms import v2

from cuelight import registry
from cuelight.config import Part
from cuelight.errors import ConfigError, CuelightError, Problem
from cuelight.registry import Registry, TransformPart
from cuelight.registry.kinds import KINDS, Kind
from cuelight.utils.environment import EnvironmentText
from cuelight.utils.hidden_values import hide_value

WEIGHTS = [torch.nn.Parameter(torch.zeros(2))]


def fresh(kind: str = "callback") -> Registry:
    return Registry(next(known for known in KINDS if known.name == kind))


class Stopper:
    """Stops. And more."""

    def __init__(
        self,
        monitor: str,
        patience: int = 3,
        mode: Literal["min", "max"] = "min",
        path: Path | None = None,
        betas: tuple[float, float] = (0.9, 0.99),
        schedule: dict[int, int] | None = None,
        duration: timedelta | None = None,
        anything: Any = None,
    ) -> None:
        self.received = dict(locals())
        del self.received["self"]


@pytest.fixture
def callbacks():
    own = fresh()
    own.register(Stopper)
    return own


def problems(registry_, params, name="Stopper"):
    return [str(problem) for problem in registry_.problems({"name": name, "params": params}, "at")]


def test_importing_the_registry_imports_nothing_heavy():
    code = "import cuelight.registry as r, sys; r.callbacks.names(); print([m for m in ('torch', 'lightning') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize("kind", ["optimizer", "scheduler", "transform", "model", "data", "callback"])
def test_every_name_can_be_imported_and_described(kind):
    for name in registry.registry_of(kind).kind.builtins:
        info = registry.registry_of(kind).describe(name)
        assert info.name == name
        assert info.summary
        assert not {parameter.name for parameter in info.parameters} & {
            "self",
            *registry.registry_of(kind).kind.reserved,
        }


@pytest.mark.parametrize("name", registry.optimizers.kind.builtins)
def test_every_optimizer_can_be_made(name):
    optimizer = registry.optimizers.build({"name": name, "params": {"lr": 0.5}}, params=WEIGHTS)
    assert type(optimizer) is getattr(torch.optim, name)
    assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("RandomResizedCrop", {"size": [8, 9], "scale": [0.5, 1], "interpolation": "nearest"}),
        ("RandomAffine", {"degrees": 10, "translate": [0.1, 0.1], "fill": [1, 2, 3]}),
        ("RandomRotation", {"degrees": [-5, 5.5]}),
        ("ColorJitter", {"brightness": 0.2, "hue": [0, 0.1]}),
        ("RandAugment", {}),
        ("AutoAugment", {"policy": "cifar10"}),
        ("GaussianBlur", {"kernel_size": 3}),
    ],
)
def test_transforms_work_on_an_image(name, params):
    transform = registry.transforms.build({"name": name, "params": params})
    image = torch.randint(0, 255, (3, 16, 16), dtype=torch.uint8)
    assert transform(image).dtype == torch.uint8


def test_the_exact_types_of_the_signature_arrive(callbacks):
    params = {"monitor": "x", "path": "a/b", "betas": [1, 0.5], "schedule": {"0": 1, 4: 2}, "duration": "PT90M"}
    received = callbacks.build(Part(name="Stopper", params=params)).received
    assert received["path"] == Path("a/b")
    assert received["betas"] == (1.0, 0.5)
    assert received["schedule"] == {0: 1, 4: 2}
    assert received["duration"] == timedelta(minutes=90)
    assert received["patience"] == 3


def test_a_default_of_none_may_be_written_as_null():
    own = fresh()

    @own.register
    class Loose:
        def __init__(self, size: int = None) -> None:  # noqa: RUF013 - as many classes have it
            self.size = size

    assert own.build({"name": "Loose", "params": {"size": None}}).size is None


def test_what_the_type_does_not_say_arrives_as_written(callbacks):
    value = [{0: "1e-3", "a": None}, "x"]
    assert (
        callbacks.build({"name": "Stopper", "params": {"monitor": "x", "anything": value}}).received["anything"]
        == value
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, 'at.params.monitor: Stopper needs the parameter "monitor"; expected text.'),
        ({"monitor": 3}, 'at.params.monitor: expected text, got 3. Write "3" in quotes if text is meant.'),
        ({"monitor": "x", "patience": "5"}, 'at.params.patience: expected a whole number, got the text "5". Write 5 without quotes.'),
        ({"monitor": "x", "patience": True}, "at.params.patience: expected a whole number, got true."),
        ({"monitor": "x", "patience": None}, "at.params.patience: expected a whole number, got nothing (null). The value after the colon is missing."),
        ({"monitor": "x", "mode": "mim"}, 'at.params.mode: expected "min" or "max", got the text "mim". Did you mean "min"?'),
        ({"monitor": "x", "betas": [1]}, "at.params.betas: expected a list of 2 numbers, got the list [1]."),
        ({"monitor": "x", "schedule": {"a": 1}}, "at.params.schedule: expected a mapping from whole numbers to whole numbers, or null, got the mapping {a: 1}."),
        ({"monitor": "x", "patienc": 1}, 'at.params.patienc: Stopper has no parameter "patienc". Did you mean "patience"?'),
        ({"monitor": "x", "self": 1}, 'at.params.self: Stopper has no parameter "self". It has monitor, patience, mode, path, betas, schedule, duration, anything.'),
        ({"monitor": EnvironmentText("hunter2", "${env:X}"), "patience": EnvironmentText("hunter2", "${env:X}")}, "at.params.patience: expected a whole number, got the text of ${env:X}."),
    ],
)  # fmt: skip
def test_messages_about_parameters(callbacks, params, message):
    assert problems(callbacks, params) == [message]


def test_numbers_from_environment_variables(callbacks):
    params = {"monitor": EnvironmentText("5", "${env:X}"), "patience": EnvironmentText("5", "${env:X}")}
    received = callbacks.build({"name": "Stopper", "params": params}).received
    assert received["monitor"] == "5"
    assert type(received["monitor"]) is str
    assert received["patience"] == 5


HOSTILE_NAMES = [
    "os.system", "os:system", "builtins.eval", "builtins:eval", "__class__", "__init__", "__import__", "register", "names",
    "kind", "_own", "torch.optim:AdamW", "torch.optim.AdamW", "cuelight.registry.parts:Registry", "subprocess.Popen", "eval",
    "../x", "", " ", "AdamW ", "adamw", "Optimizer", "Lambda", "LambdaLR", "SequentialLR", "Compose", "${env:PATH}", "SparseAdam",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["optimizer", "scheduler", "transform", "model", "data", "callback"])
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_only_registered_names_can_be_used(kind, name):
    before = set(sys.modules)
    parts = registry.registry_of(kind)
    (problem,) = parts.problems({"name": name, "params": {"command": "touch x"}}, "at")
    assert problem.path == "at.name"
    assert problem.message.startswith(f"unknown {kind}")
    with pytest.raises(CuelightError, match=f"unknown {kind}"):
        parts.get(name)
    with pytest.raises(ConfigError):
        parts.build({"name": name})
    assert set(sys.modules) == before


def test_parameters_cannot_name_code(callbacks):
    @callbacks.register
    class Calls:
        def __init__(self, function: Callable[[], None] = print, kind: type = int) -> None:
            raise AssertionError

    for value in ("os.system", "builtins:eval", ["os.system"], {"name": "os.system"}):
        assert len(problems(callbacks, {"function": value, "kind": value}, "Calls")) == 2


def test_messages_about_names():
    def message(name):
        return registry.optimizers.problems({"name": name}, "at")[0].message

    own = " To use your own class, pass --source FILE.py."
    assert message("Adamw2") == f'unknown optimizer "Adamw2". Did you mean "AdamW"?{own}'
    assert message("torch.optim:SGD") == 'unknown optimizer "torch.optim:SGD". Write "SGD" instead.'
    assert message("zzz").startswith('unknown optimizer "zzz". Available: ASGD, Adadelta')
    assert message("zzz").endswith(own)
    assert "hunter2" not in message(EnvironmentText("hunter2", "${env:X}"))


def test_what_only_the_run_may_set():
    def message(kind, name, key):
        found = registry.check_part(kind, {"name": name, "params": {key: 1}}, "at")
        return next(problem.message for problem in found if problem.path == f"at.params.{key}")

    assert (
        message("optimizer", "AdamW", "params") == '"params" cannot be set here: the parameters of the model are used.'
    )
    assert message("scheduler", "StepLR", "optimizer") == '"optimizer" cannot be set here: set trainer.optimizer.'
    assert message("data", "Digits", "batch_size") == '"batch_size" cannot be set here: set trainer.batch_size.'
    assert message("model", "ClassificationModel", "optimization").endswith(
        "set trainer.optimizer and trainer.scheduler."
    )


def test_what_the_run_supplies_if_the_file_does_not():
    models = fresh("model")

    @models.register
    class Model:
        def __init__(self, num_classes: int, class_names: list[str], depth: int = 1) -> None:
            self.received = (num_classes, class_names, depth)

    provided = {"num_classes": 10, "class_names": ["a"], "in_channels": 3}
    assert models.problems({"name": "Model"}, "at") == []
    assert models.build({"name": "Model"}, **provided).received == (10, ["a"], 1)
    assert models.build({"name": "Model", "params": {"num_classes": 4}}, **provided).received == (4, ["a"], 1)
    assert registry.schedulers.problems({"name": "CosineAnnealingLR"}, "at") == []
    assert len(registry.schedulers.problems({"name": "StepLR"}, "at")) == 1


def test_keyword_arguments_are_followed_to_the_base_class():
    models = fresh("model")

    class Base:
        def __init__(self, width: int, optimization: object = None) -> None:
            self.width, self.optimization = width, optimization

    @models.register
    class Child(Base):
        def __init__(self, depth: int = 1, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.depth = depth

    @models.register
    class Open(torch.nn.Module):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__()
            self.received = kwargs

    child = models.build({"name": "Child", "params": {"width": 3}}, optimization="o", num_classes=1)
    assert (child.depth, child.width, child.optimization) == (1, 3, "o")
    assert problems(models, {"width": 1, "dept": 2}, "Child") == [
        'at.params.dept: Child has no parameter "dept". Did you mean "depth"?'
    ]
    assert models.build({"name": "Open", "params": {"a": 1}}, num_classes=1).received == {"a": 1}


def test_parts_within_parameters_are_checked_and_arrive_as_parts():
    data = fresh("data")

    @data.register
    class Data:
        def __init__(self, transforms: list[TransformPart] | None = None, one: TransformPart | None = None) -> None:
            self.transforms, self.one = transforms, one

    wrong = {
        "transforms": [
            {"name": "RandomHorizontalFlp"},
            {"name": "RandomResizedCrop", "params": {"siz": 3}},
            "RandomCrop",
            {"nme": "x"},
            {"name": "ColorJitter", "params": [1]},
        ],
        "one": {"name": "os.system"},
    }
    assert [problem.split(":")[0] for problem in problems(data, wrong, "Data")] == [
        "at.params.transforms.0.name",
        "at.params.transforms.1.params.siz",
        "at.params.transforms.1.params.size",
        "at.params.transforms.2",
        "at.params.transforms.3.nme",
        "at.params.transforms.3.name",
        "at.params.transforms.4.params",
        "at.params.one.name",
    ]
    assert "expected a list" in problems(data, {"transforms": {"name": "RandomCrop"}}, "Data")[0]
    right = {
        "transforms": [{"name": "RandomHorizontalFlip", "params": {"p": 1}}],
        "one": {"name": "Pad", "params": {"padding": 2}},
    }
    built = data.build({"name": "Data", "params": right})
    assert built.transforms == [Part(name="RandomHorizontalFlip", params={"p": 1})]
    assert isinstance(registry.transforms.build(built.one), v2.Pad)


def test_a_constructor_that_refuses_is_reported_without_secrets():
    with pytest.raises(ConfigError, match="invalid parameters for AdamW: Invalid learning rate: -1"):
        registry.optimizers.build({"name": "AdamW", "params": {"lr": -1}}, params=WEIGHTS)
    own = fresh()

    @own.register
    class Refuses:
        def __init__(self, token: str) -> None:
            raise ValueError(f"bad token {token}")

    hide_value("hunter2", "${env:X}")
    with pytest.raises(ConfigError, match=r"bad token \$\{env:X\}"):
        own.build({"name": "Refuses", "params": {"token": EnvironmentText("hunter2", "${env:X}")}})


def test_further_checks_are_given_converted_parameters_and_show_no_secrets():
    own = fresh("model")

    @own.register
    class Picky:
        def __init__(self, pretrained: bool = False, token: str = "", path: Path | None = None) -> None: ...

        @classmethod
        def parameter_problems(cls, params, path):
            assert params["path"] == Path("x")
            return [Problem(f"{params['token']} of no use", f"{path}.token")] if params["pretrained"] else []

    token = EnvironmentText("hunter2", "${env:X}")
    hide_value("hunter2", "${env:X}")
    for written, found in (("false", []), ("true", ["at.params.token: ${env:X} of no use"])):
        params = {"pretrained": EnvironmentText(written, "${env:P}"), "token": token, "path": "x"}
        assert problems(own, params, "Picky") == []
        assert list(map(str, own.further_problems({"name": "Picky", "params": params}, "at"))) == found


def test_a_taken_name_is_refused_and_a_cell_that_runs_again_is_not():
    own = fresh("optimizer")
    with pytest.raises(CuelightError, match='"AdamW" is already taken by another optimizer'):
        own.register(Stopper, name="AdamW")
    own.register(Stopper)
    own.register(Stopper)
    with pytest.raises(CuelightError, match="already taken"):
        own.register(Part, name="Stopper")
    assert own.names()[-1] == "Stopper"
    with pytest.raises(CuelightError, match="cannot be registered"):
        own.register(Stopper, name="a.b")


def test_the_decorator_takes_a_name():
    own = fresh()

    @own.register(name="Other")
    def make(size: int = 3) -> int:
        """Make it."""
        return size

    assert make() == 3
    assert own.build({"name": "Other", "params": {"size": 4}}) == 4
    assert own.describe("Other").summary == "Make it."


def test_entry_points_of_an_installed_package(tmp_path, monkeypatch):
    def install(name, lines):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text("[cuelight.callbacks]\n" + lines)
        importlib.invalidate_caches()

    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "plug_in_of_test.py").write_text(
        "class Blink:\n    def __init__(self, times: int = 2): self.times = times\nX = 3\n"
    )
    install("plugin", "Blink = plug_in_of_test:Blink\nGone = plug_in_of_test:Gone\nNoClass = plug_in_of_test:X\n")
    own = fresh()
    assert "Blink" in own.names()
    assert "plug_in_of_test" not in sys.modules
    assert own.build({"name": "Blink", "params": {"times": 5}}).times == 5
    assert "of the package plugin cannot be imported" in problems(own, {}, "Gone")[0]
    assert "is not a class" in problems(own, {}, "NoClass")[0]
    install("thief", "EarlyStopping = plug_in_of_test:Blink\n")
    with pytest.raises(CuelightError, match='the package thief offers a callback under the name "EarlyStopping"'):
        fresh().names()


def test_a_builtin_that_cannot_be_imported_says_why():
    own = Registry(Kind("callback", "callbacks", {"Timer": "no_such_module_here:Timer"}))
    assert list(map(str, own.further_problems({"name": "Timer"}, "at"))) == [
        "at.name: the callback \"Timer\" cannot be imported: No module named 'no_such_module_here'"
    ]


def test_kinds():
    assert registry.registry_of("transform") is registry.transforms
    with pytest.raises(CuelightError, match="unknown kind"):
        registry.registry_of("os")
