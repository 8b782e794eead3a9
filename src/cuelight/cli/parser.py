"""The arguments of every command."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from cuelight.cli.completion import callback_names, override_keys, task_names
from cuelight.errors import did_you_mean
from cuelight.version import __version__

_OVERRIDES = "values to override, such as trainer.epochs=3 or trainer.callbacks.0.params.patience=5"
_MODULES = {
    "images": ("predict", "explain"),
    "run_commands": ("test", "export", "archive", "finish", "upload"),
}  # other commands have a module of their own
_EPILOG = """\
first steps:
  cuelight init                 write a starter file
  cuelight plan model.yaml      check it and see what will run
  cuelight train model.yaml     train, test the best checkpoint, export and archive it
"""


class Parser(argparse.ArgumentParser):
    """A parser that says which command was meant."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and exit."""
        wrong = re.match(r"argument COMMAND: invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if wrong:
            names = re.findall(r"[a-z]+", wrong[2])
            message = f'unknown command "{wrong[1]}".{did_you_mean(wrong[1], names)} Commands: {", ".join(names)}.'
        super().error(message)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands. Its result names the function to call, as ``module:function``."""
    parser = Parser(
        prog="cuelight",
        description="Train, test, export and archive a vision model from one YAML file.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cuelight {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_before_training(commands)
    _add_training(commands)
    _add_images(commands)
    _add_after_training(commands)
    return parser


def _add_before_training(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = _add(commands, "init", "write a commented starter file")
    task = parser.add_argument("task", nargs="?", default="classification", help="the task (default: classification)")
    task.completer = task_names  # type: ignore[attr-defined]  # read by argcomplete
    parser.add_argument("--file", default="model.yaml", help="the file to write (default: model.yaml)")

    parser = _add(commands, "convert", "write a configuration of luxonis-train or Ultralytics as one of Cuelight")
    parser.add_argument("config", help="a file of luxonis-train; or training arguments or a data.yaml of Ultralytics")
    parser.add_argument("--file", default="model.yaml", help="the file to write (default: model.yaml)")
    _add_json(parser)

    parser = _add(commands, "plan", "check a YAML file and show what will run, hook by hook, without reading images")
    parser.add_argument("config", help="the YAML file")
    _add_overrides(parser)
    _add_source(parser)
    _add_json(parser)

    parser = _add(commands, "inspect", "look at the data: classes, sizes, repeated images, what looks wrong, samples")
    parser.add_argument("config", help="the YAML file, or a run directory")
    _add_overrides(parser)
    parser.add_argument("--output", help="the folder for page and pictures (default: inspection, in the run if any)")
    _add_source(parser)
    _add_quiet(parser)
    _add_json(parser)

    parser = _add(commands, "callbacks", "list the available callbacks and their parameters")
    names = parser.add_argument("names", nargs="*", metavar="NAME", help="callbacks to show (default: all)")
    names.completer = callback_names  # type: ignore[attr-defined]  # read by argcomplete
    _add_source(parser)
    _add_json(parser)

    parser = _add(commands, "schema", "write a JSON Schema of the YAML file, for completion and checks in editors")
    parser.add_argument("--output", metavar="FILE", help="the file to write (default: standard output)")
    _add_source(parser)

    parser = _add(commands, "layers", "list the layers of a model: index, name, type and shape of the output")
    parser.add_argument("config", help="the YAML file, a run directory or a checkpoint")
    _add_overrides(parser)
    _add_source(parser)
    _add_json(parser)


def _add_training(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = _add(commands, "train", "train a model, or resume an interrupted training")
    parser.add_argument("config", nargs="?", help="the YAML file; omit it with --resume")
    _add_overrides(parser)
    parser.add_argument("--resume", metavar="RUN", help="resume this run directory, or from this checkpoint in it")
    parser.add_argument("--output", default="runs", help="the folder of all runs (default: runs)")
    _add_source(parser)
    _add_quiet(parser)
    _add_json(parser)

    parser = _add(commands, "test", "evaluate the best checkpoint of a run, or any checkpoint")
    _add_run(parser)
    parser.add_argument("--view", choices=("test", "val", "train"), default="test", help="the split (default: test)")
    _add_json(parser)

    parser = _add(commands, "export", "export the best checkpoint of a run, or any checkpoint, as ONNX and check it")
    _add_run(parser)
    _add_choice(parser, "export/<name>.onnx")

    parser = _add(commands, "archive", "export the best checkpoint of a run, or any checkpoint, as NN Archive")
    _add_run(parser)
    _add_choice(parser, "archive/<name>.tar")


def _add_images(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = _add(commands, "predict", "run inference on images with a run, checkpoint, ONNX file or NN Archive")
    parser.add_argument("model", help="a run directory, a checkpoint, an ONNX file or an NN Archive")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="an image, a folder, or a pattern such as '*.png'")
    parser.add_argument("--output", help="the folder for table and images (default: predictions, in the run if any)")
    parser.add_argument("--batch-size", type=_positive, default=16, help="images per batch (default: 16)")
    parser.add_argument("--no-pictures", action="store_true", help="write only the table")
    parser.add_argument("--coco", action="store_true", help="write boxes as COCO results too")
    _add_source(parser)
    _add_quiet(parser)
    _add_json(parser)

    parser = _add(commands, "explain", "explain the predictions of a run or a checkpoint with heat maps")
    parser.add_argument("run", help="a run directory or a checkpoint")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="an image, a folder, or a pattern such as '*.png'")
    parser.add_argument(
        "--layer", default="auto", help="layer name or index, as listed by `cuelight layers` (default: auto)"
    )
    parser.add_argument(
        "--class",
        dest="class_idx",
        metavar="CLASS",
        default="predicted",
        help="class name or index (default: the predicted class)",
    )
    parser.add_argument(
        "--method", choices=("gradcam", "hirescam", "gradcam++", "eigencam"), default="gradcam",
        help="heat map method (default: gradcam)",
    )  # fmt: skip
    parser.add_argument(
        "--model-output", metavar="NAME", help="the output with the class scores, if the model has several"
    )
    parser.add_argument("--output", help="the folder for the images (default: explain, in the run if any)")
    parser.add_argument("--batch-size", type=_positive, default=16, help="images per batch (default: 16)")
    _add_source(parser)
    _add_quiet(parser)
    _add_json(parser)


def _add_after_training(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = _add(commands, "finish", "run the post-training steps that are missing or failed")
    _add_run(parser, "a run directory, or a checkpoint in it")
    _add_json(parser)

    parser = _add(commands, "verify", "check that the exported and archived weights are the tested ones")
    parser.add_argument("run", help="a run directory")
    _add_source(parser)
    _add_quiet(parser)
    _add_json(parser)

    parser = _add(commands, "report", "write a report of a run as one HTML page: curves, results, images, files")
    parser.add_argument("run", help="a run directory, finished or not, or a checkpoint in it")
    parser.add_argument(
        "--output", metavar="FILE", help="the page to write (default: report.html in the run directory)"
    )
    _add_quiet(parser)

    parser = _add(commands, "upload", "send the trackers what they lack")
    _add_run(parser, "a run directory, or a checkpoint in it")

    parser = _add(commands, "diff", "compare two runs: configuration, metadata, outcomes, results")
    parser.add_argument("first", metavar="RUN_A", help="a run directory")
    parser.add_argument("second", metavar="RUN_B", help="another run directory")
    _add_json(parser)


def _add_run(parser: argparse.ArgumentParser, what: str = "a run directory or a checkpoint") -> None:
    parser.add_argument("run", help=what)
    _add_overrides(parser)
    _add_source(parser)
    _add_quiet(parser)


def _add_overrides(parser: argparse.ArgumentParser) -> None:
    overrides = parser.add_argument("overrides", nargs="*", metavar="key=value", help=_OVERRIDES)
    overrides.completer = override_keys  # type: ignore[attr-defined]  # read by argcomplete


def _add_choice(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--output", metavar="FILE", help=f"the file to write (default: {default} in the run directory)")
    parser.add_argument(
        "--prefer", choices=("metric", "loss"), default="metric",
        help="best checkpoint by the main metric or by the validation loss (default: metric)",
    )  # fmt: skip


def _add(commands: argparse._SubParsersAction[Parser], name: str, summary: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    shared = next((module for module, names in _MODULES.items() if name in names), None)
    parser.set_defaults(command=f"{shared}:{name}" if shared else f"{name}:run", quiet=False)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {number}")
    return number


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="FILE.py",
        help="a Python file that registers your own classes; may be given more than once",
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="print only errors and warnings")
