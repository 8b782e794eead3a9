"""Images of a sensor with 12 bits, from the training to the prediction of each file that is shipped."""

import numpy as np
import pytest
import torch
from PIL import Image

from cuelight import Run
from cuelight.data.datasets.digits import load_digits
from cuelight.data.spec import saved_spec
from cuelight.prediction import predict
from cuelight.prediction.onnx_model import OnnxModel
from support.experiments import only_run

RANGE = (0.0, 4095.0)


@pytest.fixture(scope="module")
def sensor_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sensor")
    images, labels = load_digits()
    for digit in (0, 1):
        (folder / str(digit)).mkdir()
        for number, image in enumerate(images[labels == digit][:12]):
            Image.fromarray(image[0].astype(np.uint16) * 16).save(folder / str(digit) / f"{number}.png")
    return folder


@pytest.mark.parametrize("inside", [False, True])
def test_the_value_range_goes_with_the_model(sensor_files, tmp_path, inside) -> None:
    tree = {
        "name": "sensor",
        "model": {"name": "ClassificationModel", "params": {"backbone": "test_resnet"}},
        "data": {"name": "ImageFolder", "params": {"path": str(sensor_files), "size": 32, "value_range": [0, 4095]}},
        "exporter": {"preprocessing": inside},
        "trainer": {
            "epochs": 1, "batch_size": 8, "num_workers": 0, "accelerator": "cpu",
            "callbacks": [{"name": "ExportOnTrainEnd"}, {"name": "ArchiveOnTrainEnd"}],
        },
    }  # fmt: skip
    result = Run.from_yaml(tree).train(tmp_path)
    assert not result.failed
    directory = only_run(tmp_path)
    checkpoint = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved_spec(checkpoint).preprocessing.value_range == RANGE

    files = sorted(sensor_files.rglob("*.png"))
    networks = [Run.load(directory).network()]
    networks += [OnnxModel.open(directory / name) for name in ("export/sensor.onnx", "archive/sensor.tar")]
    assert [network.metadata.preprocessing.value_range for network in networks] == [RANGE] * 3
    scores = [[found.result.top[0].score for found in predict(network, files)] for network in networks]
    assert len(scores[0]) == 24
    np.testing.assert_allclose(scores[1], scores[0], atol=0.02 if inside else 1e-4)
    np.testing.assert_allclose(scores[2], scores[1], atol=1e-6)
