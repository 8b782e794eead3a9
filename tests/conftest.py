"""Fixtures of several rooms."""

import pytest


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A file of few digits, for the data part FewDigits."""
    from support.experiments import write_digits

    return write_digits(tmp_path_factory.mktemp("digits") / "few.npz")
