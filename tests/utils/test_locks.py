"""A folder is locked by one at a time, until its process ends."""

import multiprocessing
import os

import pytest

from cuelight.utils.locks import LockedError, locked


def test_one_at_a_time(tmp_path) -> None:
    with locked(tmp_path), pytest.raises(LockedError), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_one_process_at_a_time(tmp_path) -> None:
    context = multiprocessing.get_context("fork")
    held, release = context.Event(), context.Event()
    process = context.Process(target=hold, args=(tmp_path, held, release))
    process.start()
    assert held.wait(60)
    with pytest.raises(LockedError), locked(tmp_path):
        pass
    process.kill()
    process.join()
    with locked(tmp_path):
        pass


def hold(folder, held, release):
    with locked(folder):
        held.set()
        release.wait(60)


def test_what_a_killed_process_has_forked_does_not_keep_the_lock(tmp_path) -> None:
    """A worker of a loader lives on for a while."""
    context = multiprocessing.get_context("fork")
    (held, tell), (hold_on, let_go) = context.Pipe(duplex=False), context.Pipe(duplex=False)
    process = context.Process(target=hold_and_fork, args=(tmp_path, tell, hold_on, let_go))
    process.start()
    assert held.poll(60)
    with pytest.raises(LockedError), locked(tmp_path):
        pass
    process.kill()
    process.join()
    os.kill(held.recv(), 0)  # the worker lives
    with locked(tmp_path):
        let_go.close()


def hold_and_fork(folder, tell, hold_on, let_go):
    with locked(folder):
        if os.fork() == 0:
            let_go.close()
            tell.send(os.getpid())
            hold_on.poll(60)  # until the test has closed the other end
            os._exit(0)
        hold_on.poll(60)
