"""Pretrained weights where the hub cannot be reached."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import timm
from huggingface_hub import constants
from safetensors.torch import save_file

from cuelight.errors import CuelightError
from cuelight.tasks.segmentation.networks import build_network
from cuelight.training.backbones import build_backbone

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
