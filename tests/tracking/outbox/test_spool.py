"""What waits to be sent, on the disk."""

import os

import pytest

from cuelight.tracking.outbox.spool import Sent, Spool
from cuelight.utils.files import remove_partial_files


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def checkpoint(tmp_path):
    file = tmp_path / "checkpoints" / "best_loss.ckpt"
    file.parent.mkdir()
    file.write_bytes(b"first")
    return file


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


def test_nothing_waits_and_nothing_is_written(spool) -> None:
    assert not spool.has_files()
    assert spool.claim() is None
    assert spool.read_sent() == []
    assert not spool.folder.exists()


def test_a_file_waits_when_its_original_is_gone(spool, checkpoint) -> None:
    spool.put(checkpoint, "best.ckpt", 7, 0.25)
    checkpoint.unlink()
    waiting = Spool(spool.folder).claim()
    assert (waiting.file.name, waiting.file.read_bytes(), waiting.step, waiting.score) == (
        "best.ckpt", b"first", 7, 0.25,
    )  # fmt: skip


def test_it_takes_no_space(spool, checkpoint) -> None:
    spool.put(checkpoint, "best.ckpt", 7, 0.25)
    assert spool.claim().file.samefile(checkpoint)


@pytest.mark.parametrize("replaced", [False, True])
def test_without_links_it_is_a_copy(spool, checkpoint, monkeypatch, replaced) -> None:
    monkeypatch.setattr(os, "link", refuse)
    spool.put(checkpoint, "best.ckpt", 7, 0.25)
    checkpoint.write_bytes(b"other")
    assert spool.claim().file.read_bytes() == b"first"
    remove_partial_files(spool.folder / "000001")
    assert len(files_in(spool.folder)) == 2


def refuse(*_):
    raise PermissionError("no links here")


def test_a_missing_file_is_an_error_and_leaves_nothing(spool, checkpoint) -> None:
    checkpoint.unlink()
    with pytest.raises(FileNotFoundError):
        spool.put(checkpoint, "best.ckpt", 7, 0.25)
    assert files_in(spool.folder) == []


def test_the_newest_replaces_what_waits(spool, checkpoint) -> None:
    for step in (1, 2, 3):
        spool.put(checkpoint, "best.ckpt", step, 0.5)
    assert len(files_in(spool.folder)) == 2
    assert spool.claim().step == 3


def test_what_is_being_sent_stays_until_it_is_sent(spool, checkpoint) -> None:
    spool.put(checkpoint, "best.ckpt", 1, 0.5)
    sending = spool.claim()
    for step in (2, 3):
        spool.put(checkpoint, "best.ckpt", step, 0.4)
    assert sending.file.is_file()
    spool.remove(sending)
    assert not sending.file.exists()
    assert spool.claim().step == 3


def test_an_incomplete_file_of_a_killed_process_is_removed(spool, checkpoint) -> None:
    spool.put(checkpoint, "best.ckpt", 1, 0.5)
    for number, files in enumerate(([], ["about.json"], ["best.ckpt"]), start=2):
        folder = spool.folder / f"{number:06d}"
        folder.mkdir()
        for name in files:
            (folder / name).write_text('{"name": "best.ckpt", "step": 2, "score": 0.4}' if "json" in name else "")
    assert spool.claim().step == 1
    assert files_in(spool.folder) == ["000001/about.json", "000001/best.ckpt"]


def test_what_was_sent_is_remembered(spool) -> None:
    sent = [Sent("runs:/1", "best.ckpt", "runs:/1/checkpoints/best.ckpt", "ab", 7, 0.25)]
    spool.write_sent(sent)
    assert Spool(spool.folder).read_sent() == sent
