"""Pretrained weights where the hub cannot be reached, and those of a file, taken as timm takes its own."""

import logging
import pickle
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from timm.models import adapt_input_conv

from cuelight.errors import ConfigError, CuelightError
from cuelight.tasks.segmentation.networks import build_network, network_problems
from cuelight.training.backbones import build_backbone, build_feature_maps

NOWHERE = "http://127.0.0.1:9"  # a port that nothing listens to


@contextmanager
def failing_hub():
    """A server that answers each request with an error; yields its address and the requests."""
    requests = []

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self):
            requests.append(self.path)
            self.send_error(503)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _nowhere(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", NOWHERE)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def build():
    return build_backbone("test_resnet.r160_in1k", True, 5, 3, (64, 64), 0.0, {})


def build_segmentation():
    return build_network("Unet", "test_resnet", True, 5, 3, (64, 64), {})


@pytest.mark.parametrize("make", [build, build_segmentation])
def test_a_hub_that_does_not_answer_is_an_error_that_says_what_to_do(make) -> None:
    with pytest.raises(
        CuelightError, match=rf"weights of test_resnet.* cannot be downloaded: {NOWHERE} does not"
    ) as told:
        make()
    for advice in ("Connect to the internet once", str(constants.HF_HOME), "HF_HOME", "pretrained: false"):
        assert advice in str(told.value)
    assert not constants.HF_HUB_OFFLINE


def test_a_hub_that_fails_is_asked_once(monkeypatch) -> None:
    with failing_hub() as (address, requests):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        with pytest.raises(CuelightError, match=f"{address} answers with status 503"):
            build()
    assert len(requests) == 1


def test_downloaded_weights_are_used_without_the_hub(tmp_path) -> None:
    trained = timm.create_model("test_resnet")
    commit = "0" * 40
    folder = tmp_path / "hub" / "models--timm--test_resnet.r160_in1k"
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    save_file(trained.state_dict(), Path(folder, "snapshots", commit, "model.safetensors"))
    assert (build().conv1[0].weight == trained.conv1[0].weight).all()
    assert not constants.HF_HUB_OFFLINE


def test_a_network_without_pretrained_weights_asks_nobody(monkeypatch) -> None:
    with failing_hub() as (address, requests):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        build_backbone("test_resnet", False, 5, 3, (64, 64), 0.0, {})
    assert requests == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


def trained(name, **options):
    torch.manual_seed(1)
    return timm.create_model(name, **options)


def saved(folder, name, suffix=".safetensors", wrap=lambda state: state, **options):
    network, file = trained(name, **options), folder / f"{name}{suffix}"
    if suffix == ".safetensors":
        save_file(network.state_dict(), file)
    else:
        torch.save(wrap(network.state_dict()), file)
    return network, str(file)


def build_from(file, name="test_resnet", channels=3, size=(64, 64), classes=5, **params):
    torch.manual_seed(2)
    return build_backbone(name, file, classes, channels, size, 0.0, params)


def wrapped(state):
    return {"state_dict": {f"module.backbone.{name}": value for name, value in state.items()}, "epoch": 3}


@pytest.mark.parametrize(
    ("suffix", "wrap"), [(".safetensors", None), (".pth", lambda state: state), (".ckpt", wrapped)]
)
def test_a_network_has_the_weights_of_the_file_but_not_its_head(folder, caplog, suffix, wrap) -> None:
    caplog.set_level(logging.INFO)
    network, file = saved(folder, "test_resnet", suffix, wrap)
    found = build_from(file)
    own = network.state_dict()
    for name, value in found.state_dict().items():
        if not name.startswith("fc."):
            torch.testing.assert_close(value, own[name], rtol=0, atol=0)
    assert found.fc.weight.shape == (5, network.fc.in_features)
    assert f"{file}: {len(own) - 2} of the {len(own) - 2} weights of the model are taken from it." in caplog.text
    assert re.search(r"in the file alone: fc\.(bias, fc\.weight|weight, fc\.bias)\n", caplog.text)
    assert "state_dict" not in found.pretrained_cfg


def test_the_head_is_new_even_if_it_fits(folder) -> None:
    network, file = saved(folder, "test_resnet")
    assert not torch.equal(build_from(file, classes=1000).fc.weight, network.fc.weight)


@pytest.mark.parametrize(("of_file", "of_model"), [(3, 1), (3, 4), (1, 3), (1, 1), (4, 3)])
def test_the_first_convolution_is_adapted_to_the_channels(folder, of_file, of_model) -> None:
    network, file = saved(folder, "test_resnet", ".pt", in_chans=of_file)
    found = build_from(file, channels=of_model)
    expected = adapt_input_conv(of_model, network.conv1[0].weight.detach(), of_file)
    torch.testing.assert_close(found.conv1[0].weight.detach(), expected)
    torch.testing.assert_close(found.layer1[0].conv1.weight, network.layer1[0].conv1.weight)


def test_what_depends_on_the_size_of_images_is_resized(folder, caplog) -> None:
    caplog.set_level(logging.INFO)
    network, file = saved(folder, "test_vit")
    found = build_from(file, "test_vit", size=(64, 32))
    assert found.pos_embed.shape != network.pos_embed.shape
    torch.testing.assert_close(found.blocks[0].attn.qkv.weight, network.blocks[0].attn.qkv.weight)
    assert found(torch.zeros(1, 3, 64, 32)).shape == (1, 5)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_feature_maps_are_those_of_the_file(folder, name) -> None:
    network, file = saved(folder, name)
    found, _ = build_feature_maps(name, file, 3, (64, 64), [8, 16], {})
    given = {float(value.double().sum()) for value in network.state_dict().values()}
    assert {float(value.double().sum()) for value in found.state_dict().values()} <= given


@pytest.mark.parametrize("channels", [3, 1])
def test_an_encoder_has_the_weights_of_the_file(folder, channels) -> None:
    network, file = saved(folder, "test_resnet")
    found = build_network("Unet", "test_resnet", file, 3, channels, (64, 64), {})
    torch.testing.assert_close(found.encoder.model.layer4[0].conv1.weight, network.layer4[0].conv1.weight)
    first = adapt_input_conv(channels, network.conv1[0].weight.detach())
    torch.testing.assert_close(found.encoder.model.conv1[0].weight.detach(), first)
    assert not [part for part in found.modules() if "state_dict" in getattr(part, "pretrained_cfg", {})]


class Harmful:
    def __reduce__(self):
        return print, ("this ran",)


def damaged(folder, kind):
    file = folder / f"{kind}.pth"
    state = trained("test_resnet").state_dict()
    if kind == "harmful":
        file.write_bytes(pickle.dumps({"state_dict": {"conv1.0.weight": Harmful()}}))
    elif kind == "nan":
        torch.save(state | {"layer1.0.conv1.weight": state["layer1.0.conv1.weight"] * torch.nan}, file)
    elif kind == "other":
        torch.save({"a.weight": torch.ones(3)}, file)
    elif kind == "wide":
        torch.save(state | {"layer4.0.conv1.weight": torch.ones(3, 4, 3, 3)}, file)
    elif kind == "text":
        file.write_text("weights")
    elif kind == "folder":
        file.mkdir(exist_ok=True)
    return str(file)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "there is no such checkpoint file"),
        ("folder", "there is no such checkpoint file"),
        ("text", "cannot be read"),
        ("harmful", "contains more than tensors and plain values|cannot be read"),
        ("nan", r"NaN or infinity in .*layer1\.0\.conv1\.weight"),
        ("other", "none of its 1 weights fits the model"),
        ("wide", r"these are not the weights of test_resnet: .*layer4\.0\.conv1\.weight.* model\.init_from takes"),
    ],
)
def test_a_file_that_cannot_be_used(folder, capsys, kind, message) -> None:
    file = damaged(folder, kind)
    for make in (
        lambda: build_from(file),
        lambda: build_feature_maps("test_resnet", file, 3, (64, 64), [8, 16], {}),
        lambda: build_network("Unet", "test_resnet", file, 3, 3, (64, 64), {}),
    ):
        with pytest.raises(ConfigError, match=rf"(?s)model\.params\.pretrained: .*{kind}\.pth: .*({message})"):
            make()
    assert "this ran" not in capsys.readouterr().out


def test_a_file_is_not_read_for_an_encoder_that_timm_does_not_have() -> None:
    (problem,) = network_problems("Unet", "mit_b0", "a.pth", path="model.params")
    assert problem.path == "model.params.pretrained"
    assert "Use model.init_from" in problem.message


def test_a_network_without_weights_of_its_own_takes_those_of_a_file(folder) -> None:
    name = next(name for name in timm.list_models("resnet*") if not timm.list_pretrained(name))
    assert network_problems("Unet", name, "a.pth") == []
