"""What waits for a tracker is on the disk, whatever ends the process."""

import json
import signal
import subprocess
import sys

import pytest

from cuelight.utils.journal import Journal, lacking

KILLED = """
import os, signal, sys
from pathlib import Path
from cuelight.utils.journal import Journal
journal = Journal(Path(sys.argv[1]) / "outbox" / "mlflow", "MLflow at x")
for step in range(3):
    journal.add("metrics", "metrics", {"points": [["loss", 1.0, 0, step]]})
journal.add("picture a", "image", {"file": "a.txt"}, lambda file: file.write_text("picture"))
journal.remove(journal.waiting()[:1])
os.kill(os.getpid(), signal.SIGKILL)
"""


def folder_of(tmp_path):
    return tmp_path / "outbox" / "mlflow"


def test_a_killed_process_loses_nothing(tmp_path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False)
    assert done.returncode == -signal.SIGKILL
    journal = Journal(folder_of(tmp_path), "MLflow at x")
    assert [entry.payload["points"][0][3] for entry in journal.waiting("metrics")] == [1, 2]
    [picture] = journal.waiting("image")
    assert picture.file.read_text() == "picture"
    assert lacking(tmp_path) == {"MLflow at x": "2 metrics, picture a not sent yet"}
    assert journal.add("text", "text", {}).number > picture.number


def test_nothing_is_left_when_all_was_sent(tmp_path) -> None:
    journal = Journal(folder_of(tmp_path), "MLflow at x")
    assert not folder_of(tmp_path).exists()
    entries = [journal.add("file a", "artifact", {}, lambda file: file.write_text("a")), journal.add("b", "text", {})]
    journal.remove(entries[:1])
    assert not entries[0].file.exists()
    journal.remove(entries)
    assert not folder_of(tmp_path).exists()
    journal.add("c", "text", {})
    assert [entry.what for entry in Journal(folder_of(tmp_path), "").waiting()] == ["c"]


def test_what_was_refused_is_known_and_not_sent_again(tmp_path) -> None:
    journal = Journal(folder_of(tmp_path), "MLflow at x")
    points = journal.add("metrics", "metrics", {"points": [["a", 1, 0, 0], ["b", 2, 0, 0]]})
    journal.remove([points], refused="INVALID_PARAMETER_VALUE")
    assert lacking(tmp_path) == {"MLflow at x": "2 metrics refused"}
    assert lacking(tmp_path, only_waiting=True) == {}
    assert not Journal(folder_of(tmp_path), "").waiting()


def test_a_file_whose_entry_was_not_added_is_replaced(tmp_path) -> None:
    (folder_of(tmp_path) / "000001").mkdir(parents=True)
    (folder_of(tmp_path) / "000001" / "content").write_text("half")
    entry = Journal(folder_of(tmp_path), "").add("a", "artifact", {}, lambda file: file.write_text("whole"))
    assert entry.file.read_text() == "whole"


def test_the_final_status_alone_is_nothing_that_is_lacking(tmp_path) -> None:
    Journal(folder_of(tmp_path), "MLflow at x").add("the final status", "end", {"status": "FINISHED"})
    assert lacking(tmp_path) == {}


def test_a_line_that_was_cut_is_left_out(tmp_path) -> None:
    journal = Journal(folder_of(tmp_path), "MLflow at x")
    journal.add("a", "text", {})
    with (folder_of(tmp_path) / "entries.jsonl").open("a") as file:
        file.write(json.dumps({"number": 2, "what": "b"})[:-4])
    assert [entry.what for entry in Journal(folder_of(tmp_path), "").waiting()] == ["a"]
    Journal(folder_of(tmp_path), "").add("c", "text", {})
    assert [entry.what for entry in Journal(folder_of(tmp_path), "").waiting()] == ["a", "c"]


def test_two_journals_of_one_folder_lose_nothing_of_each_other(tmp_path) -> None:
    first = Journal(folder_of(tmp_path), "MLflow at x")
    sent = first.add("x", "text", {})
    second = Journal(folder_of(tmp_path), "MLflow at x")
    second.add("y", "text", {})
    first.remove([sent])
    with second.locked():
        assert [entry.what for entry in second.waiting()] == ["y"]
    assert first.add("z", "text", {}).number != sent.number
    assert [entry.what for entry in Journal(folder_of(tmp_path), "").waiting()] == ["y", "z"]


def test_a_folder_that_was_only_locked_gets_its_receiver(tmp_path) -> None:
    journal = Journal(folder_of(tmp_path), "MLflow at x")
    with journal.locked():
        pass
    journal.add("a", "text", {})
    assert lacking(tmp_path) == {"MLflow at x": "a not sent yet"}


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"number": 7}',
        '{"removed": 3}',
        '{"number": "x", "what": "a", "kind": "b", "payload": {}, "file": null}',
        '{"number": 7, "what": "a", "kind": "b", "payload": 3, "file": null}',
        '{"number": 7, "what": "a", "kind": "b", "payload": {}, "file": 3}',
        '{"number": [7], "what": "a", "kind": "b", "payload": {}, "file": null}',
    ],
    ids=["deep", "short", "removed", "number", "payload", "file", "list"],
)
def test_a_damaged_line_loses_no_other(tmp_path, line) -> None:
    folder = tmp_path / "outbox" / "server"
    Journal(folder, "server").add("point", "metrics", {"points": [1, 2]})
    with (folder / "entries.jsonl").open("a") as file:
        file.write(f"{line}\n")
    (folder / "refused.jsonl").write_text(f'{line}\n{{"what": "image", "size": "x"}}\n')
    journal = Journal(folder, "server")
    journal.add("image", "image", {"points": 3})
    assert [entry.what for entry in journal.waiting()] == ["point", "image"]
    assert lacking(tmp_path)["server"].startswith("2 point, image not sent yet")
