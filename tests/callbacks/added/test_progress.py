"""One line for each epoch anywhere, and bars on a terminal that count what is done and vanish at the end."""

import contextlib
import io
import re

import lightning.pytorch as pl
import pytest
from rich.console import Console

from cuelight.callbacks.added.progress import ProgressDisplay
from support.tiny import TinyData, TinyModel
from support.trainers import quiet_trainer


class Failure(Exception):
    """Ends a fit."""


class Talkative(TinyModel):
    """Shows its metrics in the progress bar."""

    fails = False

    def training_step(self, batch, batch_idx):
        if self.fails:
            raise Failure
        loss = super().training_step(batch, batch_idx)
        self.log("train/loss", loss, prog_bar=True)
        self.log("hidden", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", float(self.current_epoch), prog_bar=True, batch_size=len(batch[0]))


class OfClasses(Talkative):
    """Has classes in the names of its metrics."""

    def validation_step(self, batch, batch_idx):
        self.log("val/AP[person]", 0.5, prog_bar=True, batch_size=len(batch[0]))


def console(terminal):
    return Console(file=io.StringIO(), force_terminal=terminal, width=200, _environ={"TERM": "xterm"})


def trainer_with(display, folder, **options):
    usual = {"max_epochs": 3, "enable_progress_bar": True, "num_sanity_val_steps": 2}
    return quiet_trainer(folder, [display], **usual | options)


def shown(terminal, folder, action="fit", model=None, **options):
    display = ProgressDisplay(console(terminal))
    trainer = trainer_with(display, folder, **options)
    arguments = {"verbose": False} if action in ("validate", "test") else {}
    with contextlib.suppress(Failure):
        getattr(trainer, action)(model or Talkative(), datamodule=TinyData(), **arguments)
    return display, display._console.file.getvalue()


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_line_for_each_epoch_with_its_own_metrics(tmp_path) -> None:
    _, text = shown(terminal=False, folder=tmp_path)
    lines = text.splitlines()
    assert [line.split()[:2] for line in lines] == [["epoch", f"{n}/3"] for n in (1, 2, 3)]
    for number, line in enumerate(lines):
        assert re.search(rf"val/loss {number}\b", line)
        assert re.search(r"train/loss \d", line)
        assert re.search(r"\d+\.\d s$", line.rstrip())
        assert "hidden" not in line


@pytest.mark.parametrize("terminal", [True, False])
def test_names_are_shown_as_they_are(tmp_path, terminal) -> None:
    _, text = shown(terminal, tmp_path, model=OfClasses())
    assert "val/AP[person] 0.5" in plain(text)


def test_no_codes_without_a_terminal(tmp_path) -> None:
    _, text = shown(terminal=False, folder=tmp_path)
    assert "\x1b" not in text
    assert "\r" not in text


def test_bars_count_to_the_end_and_vanish(tmp_path) -> None:
    display, text = shown(terminal=True, folder=tmp_path)
    assert "15/15" in plain(text)
    assert text.count("\x1b[?25h") >= text.count("\x1b[?25l") >= 1
    assert display._bars is None
    assert [line.split()[1] for line in plain(text).splitlines() if re.match(r"\s*epoch \d/3 .* s\s*$", line)] == [
        "1/3", "2/3", "3/3",
    ]  # fmt: skip


def test_bar_counts_batches_also_under_accumulation(tmp_path) -> None:
    _, text = shown(terminal=True, folder=tmp_path, accumulate_grad_batches=2)
    assert "15/15" in plain(text)


@pytest.mark.parametrize("action", ["validate", "test"])
def test_stage_alone_has_its_bar(tmp_path, action) -> None:
    display, text = shown(terminal=True, folder=tmp_path, action=action)
    assert {"validate": "validation", "test": "test"}[action] in plain(text)
    assert "/3" in plain(text)
    assert display._bars is None


def test_failure_takes_the_bars_away(tmp_path) -> None:
    model = Talkative()
    model.fails = True
    display, text = shown(terminal=True, folder=tmp_path, model=model)
    assert display._bars is None
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") >= 0


def test_disabled_shows_nothing(tmp_path) -> None:
    display = ProgressDisplay(console(terminal=True))
    display.disable()
    trainer_with(display, tmp_path).fit(Talkative(), datamodule=TinyData())
    assert display._console.file.getvalue() == ""


def test_training_is_the_same_with_and_without(tmp_path) -> None:
    traces = []
    for terminal in (False, True):
        pl.seed_everything(1, verbose=False)
        model = Talkative()
        shown(terminal, tmp_path, model=model)
        traces.append(model.trace)
    assert traces[0] == traces[1]
