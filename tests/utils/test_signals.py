"""A stop by a signal saves everything, tells how it ended, and the resumed training is the one without a stop."""

import signal

import pytest

from cuelight.utils.signals import StopSignal, signals_given_back
from support.experiments import OWN_PARTS, experiment, last, metric_rows, only_run, same_training, write_yaml
from support.processes import Command, cuelight, named_pipe

SOURCE = ("--source", OWN_PARTS)


def with_signal(digits, folder, **events):
    params = {"path": str(folder / "events.txt"), **events}
    return write_yaml(folder / "tiny.yaml", experiment(digits, callbacks=[{"name": "Events", "params": params}]))


@pytest.fixture(scope="module")
def uninterrupted(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert cuelight("train", with_signal(digits, folder), *SOURCE, folder=folder).code == 0
    return only_run(folder / "runs"), (folder / "events.txt").read_text().split("\n")


def number_of(events, what, epoch):
    return next(number for number, line in enumerate(events, 1) if line.startswith(f"{what} {epoch} "))


@pytest.mark.parametrize(
    ("name", "code", "what"),
    [
        ("SIGINT", 130, "backward"),
        ("SIGTERM", 143, "backward"),
        ("SIGTERM", 143, "validation_batch"),
        ("SIGINT", 130, "epoch_end"),
        ("SIGINT", 130, "save"),
    ],
)
def test_stopped_and_resumed_is_the_training_without_a_stop(digits, tmp_path, uninterrupted, name, code, what) -> None:
    number = number_of(uninterrupted[1], what, 1)
    file = with_signal(digits, tmp_path, signal_at=number, signal_name=name)
    stopped = cuelight("train", file, *SOURCE, folder=tmp_path)
    assert stopped.code == code, stopped.err
    assert f"{name}: stopping at the next batch boundary" in stopped.err
    assert "Traceback" not in stopped.err
    directory = only_run(tmp_path / "runs")
    # What went on is the state of this very moment, not of an epoch before.
    assert last(directory)["global_step"] in {6, 10}
    assert not (directory / "test").exists()

    resumed = cuelight(
        "train", "--resume", directory, "trainer.callbacks.0.params.signal_at=null", *SOURCE, folder=tmp_path
    )
    assert resumed.code == 0, resumed.err
    assert only_run(tmp_path / "runs") == directory
    assert same_training(directory, uninterrupted[0])
    assert metric_rows(directory) == metric_rows(uninterrupted[0])


def test_signal_from_outside(digits, tmp_path) -> None:
    """The same by a signal of another process, after the first line of a pipe as a sign of life."""
    with named_pipe(tmp_path / "pipe") as pipe:
        tree = experiment(
            digits, epochs=500, callbacks=[{"name": "Events", "params": {"path": str(tmp_path / "pipe")}}]
        )
        command = Command("train", write_yaml(tmp_path / "tiny.yaml", tree), *SOURCE, folder=tmp_path)
        command.wait_for_lines(pipe, 1)
        command.send(signal.SIGTERM)
        assert command.wait().code == 143
    assert last(only_run(tmp_path / "runs"))["global_step"] >= 1


def test_second_signal_stops_at_once(digits, tmp_path) -> None:
    file = with_signal(digits, tmp_path, signal_at=2, signal_name="SIGINT", times=2)
    killed = cuelight("train", file, *SOURCE, folder=tmp_path)
    assert killed.code == -signal.SIGINT
    assert not (only_run(tmp_path / "runs") / "checkpoints" / "last.ckpt").exists()


def test_signal_before_the_training_ends_the_command(tmp_path) -> None:
    source = tmp_path / "interrupting.py"
    source.write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    done = cuelight("train", "tiny.yaml", "--source", source, folder=tmp_path)
    assert (done.code, done.err) == (130, "")


class TestStopSignal:
    """The handler alone."""

    @pytest.fixture(autouse=True)
    def restored(self):
        handlers = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
        yield
        for number, handler in handlers:
            signal.signal(number, handler)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_notes_the_first(self, number) -> None:
        stop = StopSignal()
        stop.listen()
        assert stop.received is None
        signal.raise_signal(number)
        assert stop.received == number

    def test_gives_back_what_was_there(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        stop = StopSignal()
        stop.listen()
        stop.listen()
        assert signal.getsignal(signal.SIGTERM) is not before
        stop.unlisten()
        stop.unlisten()
        assert signal.getsignal(signal.SIGTERM) is before

    def test_a_second_use_forgets_the_signal_of_the_first(self) -> None:
        stop = StopSignal()
        stop.listen()
        signal.raise_signal(signal.SIGTERM)
        stop.unlisten()
        stop.listen()
        assert stop.received is None

    def test_what_is_ignored_stays_ignored(self) -> None:
        """As SIGINT is in the background jobs of a script, which Ctrl-C is not meant for."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stop = StopSignal()
        stop.listen()
        signal.raise_signal(signal.SIGINT)
        assert stop.received is None
        stop.unlisten()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN

    def test_what_was_taken_before_python_began_is_left_alone(self, monkeypatch) -> None:
        """Python cannot name such a handler, and so cannot give a signal back to it."""
        before = signal.getsignal(signal.SIGTERM)
        known = {signal.SIGINT: signal.getsignal(signal.SIGINT)}
        with monkeypatch.context() as patched:
            patched.setattr(signal, "getsignal", known.get)
            stop = StopSignal()
            stop.listen()
            stop.unlisten()
        assert signal.getsignal(signal.SIGTERM) is before

    def test_handlers_set_inside_are_taken_back(self) -> None:
        before = signal.getsignal(signal.SIGINT)

        @signals_given_back()
        def end() -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            raise SystemExit

        with pytest.raises(SystemExit):
            end()
        assert signal.getsignal(signal.SIGINT) is before

    def test_other_threads_leave_signals_alone(self) -> None:
        from threading import Thread

        before = signal.getsignal(signal.SIGTERM)
        stop = StopSignal()
        thread = Thread(target=stop.listen)
        thread.start()
        thread.join()
        assert signal.getsignal(signal.SIGTERM) is before
