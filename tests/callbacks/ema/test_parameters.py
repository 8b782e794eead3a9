"""Parameters that make no sense are refused, or reported in the training."""

import math

import pytest

from cuelight.callbacks.ema.ema_callback import EMACallback
from support.trainers import fit


@pytest.mark.parametrize(
    "parameters",
    [
        {"decay": 1.0},
        {"decay": -0.1},
        {"decay": "0.9"},
        {"decay": None},
        {"decay_tau": 0},
        {"decay_tau": math.inf},
        {"update_every_n_steps": 0},
        {"update_every_n_steps": 1.5},
        {"update_starting_at_step": -1},
        {"device": "cud"},
    ],
    ids=str,
)
def test_out_of_range_is_refused(parameters):
    ((name, value),) = parameters.items()
    with pytest.raises(ValueError, match=f"EMACallback: {name}: expected a .*, got {value!r}"):
        EMACallback(**parameters)


@pytest.mark.parametrize(
    ("parameters", "hint"),
    [
        ({}, "almost no effect: with decay 0.5, the average covers at most about 2 updates"),
        ({"decay": 0.999}, "almost no effect: decay_tau 2000 is too large for 10 updates"),
        ({"decay": 0.5, "use_dynamic_decay": False}, "almost no effect: with decay 0.5"),
        ({"decay": 0.999, "use_dynamic_decay": False}, "they still contribute 99%"),
        ({"decay": 0.9, "update_every_n_steps": 11}, "never updates the average"),
        ({"decay": 0.9, "update_starting_at_step": 10}, "never updates the average"),
        (
            {"decay": 0.9, "decay_tau": 1},
            "decay 0.9 and decay_tau 1, they still contribute 18% after 10",
        ),
        ({"decay": 0.9, "update_starting_at_step": 3, "update_every_n_steps": 2}, "too large for 4 updates"),
    ],
    ids=str,
)
def test_a_hint_where_it_does_not_average(tmp_path, parameters, hint, caplog):
    fit(tmp_path, [EMACallback(**parameters)])
    assert hint in caplog.text


@pytest.mark.parametrize("options", [{}, {"fast_dev_run": True}], ids=str)
def test_no_hint_where_it_averages(tmp_path, options, caplog):
    fit(tmp_path, [EMACallback(0.86, decay_tau=2)], **options)
    assert "EMACallback" not in caplog.text
