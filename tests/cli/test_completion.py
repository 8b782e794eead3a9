"""What a person types by habit is completed, or understood well enough to say what was meant."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cuelight.cli import main

CUELIGHT = Path(sys.executable).with_name("cuelight")


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("cuelight tr", ["train"]),
        ("cuelight callbacks Ea", ["EarlyStopping"]),
        ("cuelight train x.yaml trainer.ep", ["trainer.epochs="]),
        ("cuelight export run exporter.op", ["exporter.opset="]),
        ("cuelight test run --vi", ["--view"]),
        ("cuelight init det", ["detection"]),
        ("cuelight train scenes.yaml data.params.si", ["data.params.size="]),
        ("cuelight plan scenes.yaml trainer.callbacks.0.params.decay_", ["trainer.callbacks.0.params.decay_tau="]),
        ("cuelight train scenes.yaml trainer.optimizer.params.lr", ["trainer.optimizer.params.lr="]),
        ("cuelight train missing.yaml trainer.optimizer.params.lr", ["trainer.optimizer.params.lr="]),
    ],
)
def test_the_tab_key(line, completed, tmp_path) -> None:
    answer = tmp_path / "answer"
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_SUPPRESS_SPACE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
    asked |= {"COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9"}
    (tmp_path / "scenes.yaml").write_text("data: {name: DigitScenes}\ntrainer: {callbacks: [{name: EMACallback}]}\n")
    subprocess.run([CUELIGHT], env=os.environ | asked, cwd=tmp_path, capture_output=True, check=False)
    assert answer.read_text().split("\013") == completed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian", "x.yaml"], 'unknown command "trian". Did you mean "train"?'),
        (["train", "x.yaml", "--epochs", "3"], "--epochs 3. Did you mean trainer.epochs=3?"),
        (["train", "x.yaml", "--batch=8"], "--batch=8. Did you mean trainer.batch_size=8?"),
        (["train", "x.yaml", "--lr", "0.1"], "Did you mean trainer.optimizer.params.lr=0.1?"),
        (["export", "x", "--opset", "18"], "Did you mean exporter.opset=18?"),
        (["train", "x.yaml", "--zzz"], "unrecognized arguments: --zzz\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_was_meant(arguments, said, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_no_command_shows_the_help(capsys) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "first steps:" in capsys.readouterr().out


def test_the_name_of_a_run_means_its_newest(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for time in ("20260101-100000-aaaa", "20260102-100000-bbbb"):
        (tmp_path / "runs" / "digits" / time).mkdir(parents=True)
        (tmp_path / "runs" / "digits" / time / "config.yaml").write_text("name: digits")
    assert main(["report", "runs/digits/latest"]) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith("runs/digits/latest: the newest run is 20260102-100000-bbbb\n")
    assert shown.out == "runs/digits/20260102-100000-bbbb/report.html\n"


def test_tables_can_be_json_and_have_no_blanks_at_the_end_of_their_lines(capsys) -> None:
    assert main(["callbacks", "Timer", "--json"]) == 0
    [timer] = json.loads(capsys.readouterr().out)
    assert timer["name"] == "Timer"
    assert "duration" in [parameter["name"] for parameter in timer["parameters"]]
    done = subprocess.run([CUELIGHT, "callbacks", "EMACallback"], capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if line.endswith(" ")] == []
    narrow = os.environ | {"COLUMNS": "70"}
    done = subprocess.run(
        [CUELIGHT, "callbacks", "EMACallback"], env=narrow, capture_output=True, text=True, check=True
    )
    assert max(map(len, done.stdout.splitlines())) <= 70
