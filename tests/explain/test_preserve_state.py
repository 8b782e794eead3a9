"""Explaining a model leaves no trace of it."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional

from cuelight.errors import ExplainError
from cuelight.explain import find_layer, list_layers
from support.explained import heat_maps, photographs


class Restless(nn.Module):
    """Draws random numbers, counts its calls in a buffer, and fails if told so."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout(0.5),
            nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.head = nn.Linear(8, 4)
        self.head.bias.requires_grad_(False)
        self.register_buffer("calls", torch.zeros(()))
        self.fails = False

    def forward(self, images):
        self.calls += 1
        features = self.network(images + 0.01 * torch.randn_like(images))
        if self.fails:
            raise ValueError("as told")
        return self.head(features.mean((2, 3)))


@pytest.fixture
def images():
    return photographs(2, (32, 32))


@pytest.fixture
def model():
    model = Restless()
    model.train()
    model.network[1].eval()  # as a frozen BatchNorm has it
    return model


ACTIONS = {
    "heat maps": lambda model, images: heat_maps(model, images, "network.4"),
    "auto": lambda model, images: find_layer(model, "auto", images),
    "layers": list_layers,
}


def state_of(model):
    """All that somebody could notice."""
    hooks = [
        {name: list(value) for name, value in vars(module).items() if name.endswith("hooks") and value}
        for module in model.modules()
    ]
    return {
        "weights": {name: value.tolist() for name, value in model.state_dict().items()},
        "same tensors": [id(tensor) for tensor in [*model.parameters(), *model.buffers()]],
        "versions": [tensor._version for tensor in [*model.parameters(), *model.buffers()]],
        "gradients": [None if value.grad is None else value.grad.tolist() for value in model.parameters()],
        "requires": [value.requires_grad for value in model.parameters()],
        "training": [module.training for module in model.modules()],
        "hooks": hooks,
        "attributes": [sorted(vars(module)) for module in model.modules()],
        "random": torch.get_rng_state().tolist(),
        "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")),
    }


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_a_model_is_as_before(model, images, action, fails, mode):
    model(images).sum().backward()
    model.head.register_forward_hook(lambda *passed: None)
    model.fails = fails
    with mode():
        before = state_of(model)
        try:
            ACTIONS[action](model, images)
        except ValueError:
            assert fails
        else:
            assert not fails
        assert state_of(model) == before


def test_a_refused_class_leaves_the_model_as_before(model, images):
    before = state_of(model)
    with pytest.raises(ExplainError):
        heat_maps(model, images, "network.4", class_idx=9)
    assert state_of(model) == before


@pytest.mark.parametrize("when", ["between steps", "between forward and backward"])
def test_a_training_goes_on_to_the_last_bit(images, when):
    losses = []
    for explains in (False, True):
        model, seen = Restless().train(), []
        optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
        torch.manual_seed(1)
        for _ in range(3):
            if explains and when == "between steps":
                heat_maps(model, images, "network.4", class_idx="predicted")
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(images), torch.tensor([1, 2]))
            if explains and when != "between steps":
                heat_maps(model, images, "network.4", class_idx="predicted")
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
        losses.append((seen, model.state_dict()))
    assert losses[0][0] == losses[1][0]
    torch.testing.assert_close(losses[0][1], losses[1][1], rtol=0, atol=0)


def test_gradients_flow_through_casts_that_were_made_before(images):
    """Autocast keeps the casts of weights; one that was made here would cut the weights off."""
    gradients = []
    for explains in (False, True):
        model = Restless().eval()
        with torch.autocast("cpu", torch.bfloat16):
            if explains:
                heat_maps(model, images, "network.4")
            torch.manual_seed(1)
            model(images).sum().backward()
        gradients.append([value.grad for value in model.parameters()])
    assert gradients[0][0] is not None
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=0)


@pytest.mark.parametrize("method", ["gradcam", "hirescam", "gradcam++", "eigencam"])
def test_maps_are_the_same_in_inference_mode_and_of_a_frozen_model(model, images, method):
    expected = heat_maps(model, images, "network.4", method=method)
    with torch.inference_mode():
        inferred = heat_maps(model, images.clone(), "network.4", method=method)
        model.head.weight.data.mul_(1)  # as an average that is swapped in while validating
        again = heat_maps(model, images.clone(), "network.4", method=method)
        made = Restless().train()
        made.load_state_dict(model.state_dict())
    frozen = heat_maps(model.requires_grad_(False), images, "network.4", method=method)
    made_inside = heat_maps(made, images, "network.4", method=method)
    for found in (inferred, again, frozen, made_inside):
        assert torch.equal(found.maps, expected.maps)


def test_dropout_and_batch_statistics_are_off(model, images):
    assert torch.equal(heat_maps(model, images, "network.4").maps, heat_maps(model.eval(), images, "network.4").maps)


def test_a_train_method_of_a_module_is_not_called(model, images):
    class Merging(nn.Linear):
        def train(self, mode=True):
            self.weight.data.add_(1)
            return super().train(mode)

    model.head = Merging(8, 4)
    before = model.head.weight.clone()
    heat_maps(model, images, "network.4")
    assert torch.equal(model.head.weight, before)


def live_tensors():
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


def test_nothing_is_kept(model, images):
    counts = []
    for _ in range(2):
        for action in ACTIONS.values():
            action(model, images)
        counts.append(live_tensors())
    assert counts[0] == counts[1]


def test_nothing_is_kept_but_the_result(model, images):
    seen = []
    handle = model.network[4].register_forward_hook(lambda *passed: seen.append(weakref.ref(passed[-1])))
    gc.disable()
    try:
        found = heat_maps(model, images, "network.4")
        assert [tensor() for tensor in seen] == [None]
    finally:
        gc.enable()
        handle.remove()
    assert found.maps.untyped_storage().nbytes() == found.maps.nbytes


class Counting(torch.autograd.Function):
    """Passes on, and counts by which way gradients came."""

    calls = []  # noqa: RUF012

    @staticmethod
    def forward(ctx, value, name):
        ctx.name = name
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        Counting.calls.append(ctx.name)
        return gradient, None


def test_nothing_below_the_layer_and_no_parameter_is_differentiated(images):
    class Counted(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)
            self.bias = nn.Parameter(torch.zeros(8, 1, 1))

        def forward(self, images):
            below = Counting.apply(self.first(images), "below")
            above = Counting.apply(self.second(below), "above") + Counting.apply(self.bias, "parameter")
            return above.mean((2, 3))

    Counting.calls.clear()
    heat_maps(Counted(), images, "second")
    assert Counting.calls == ["above"]


def test_nothing_below_the_layer_is_recorded(model, images):
    recorded = []
    handles = [
        layer.register_forward_hook(lambda *passed: recorded.append(passed[-1].requires_grad))
        for layer in model.network
    ]
    heat_maps(model, images, "network.4")
    for handle in handles:
        handle.remove()
    assert recorded == [False] * 5 + [True] * 2


def test_hooks_of_others_are_called_and_come_first(model, images):
    handle = model.network[4].register_forward_hook(lambda module, inputs, output: 0 * output)
    assert not heat_maps(model, images, "network.4", method="hirescam").maps.any()
    handle.remove()
    assert heat_maps(model, images, "network.4", method="hirescam").maps.any()


@pytest.mark.parametrize("wrapped", [False, True])
def test_compiled_models_are_run_as_written_and_not_compiled_anew(images, wrapped):
    model, compiled = Restless().eval(), []
    torch.manual_seed(1)
    expected = heat_maps(model, images, "network.4").maps

    def backend(graph, _):
        compiled.append(graph)
        return graph.forward

    model.network = torch.compile(model.network, backend=backend) if wrapped else model.network
    if not wrapped:
        model.network.compile(backend=backend)
    with torch.no_grad():
        model(images)
        before = len(compiled)
        torch.manual_seed(1)
        found = heat_maps(model, images, "network._orig_mod.4" if wrapped else "network.4").maps
        model(images)
    assert torch.equal(found, expected)
    assert len(compiled) == before > 0
