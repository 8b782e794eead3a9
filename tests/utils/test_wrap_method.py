import pytest

from cuelight.utils.wrap_method import wrap_method


class Loop:
    def __init__(self):
        self.ran = []

    def run(self, times, *, name="run"):
        """Run."""
        self.ran += [name] * times
        return len(self.ran)


def test_runs_around_a_method_of_one_object_and_hands_on_what_it_returns():
    loop, other = Loop(), Loop()

    def around(run, *args, **kwargs):
        loop.ran.append("before")
        result = run(*args, **kwargs)
        loop.ran.append("after")
        return result

    wrap_method(loop, "run", around)
    assert loop.run(2, name="inside") == 3
    assert loop.ran == ["before", "inside", "inside", "after"]
    assert other.run(1) == 1
    assert loop.run.__doc__ == "Run."


def test_may_be_done_twice():
    loop = Loop()
    for _ in range(2):
        wrap_method(loop, "run", lambda run, times: run(times + 1))
    assert loop.run(1) == 3


def test_a_method_that_is_not_there_is_an_error():
    with pytest.raises(AttributeError, match="no_such_method"):
        wrap_method(Loop(), "no_such_method", lambda inner: inner())
