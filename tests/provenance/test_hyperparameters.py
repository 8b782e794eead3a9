"""Values by their keys, and what is said of keys that do not exist."""

import pytest

from cuelight.provenance.hyperparameters import look_up, missing_keys

TREE = {
    "model": {"name": "Net", "params": {"api_key": "hunter2", "uri": "https://ada:hunter2@h", "width": 8}},
    "trainer": {
        "optimizer": {"name": "SGD", "params": {"lr": 0.1, "betas": [0.9, 0.99]}},
        "callbacks": [{"name": "EMACallback", "params": {"decay": 0.5}}],
        "credentials": {"user": "ada"},
        "api": {"key": "hunter2"},
    },
}


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("trainer.optimizer.params.lr", {"trainer.optimizer.params.lr": 0.1}),
        ("trainer.callbacks.0.params.decay", {"trainer.callbacks.0.params.decay": 0.5}),
        ("trainer.optimizer.params.betas.1", {"trainer.optimizer.params.betas.1": 0.99}),
        ("trainer.callbacks", {"trainer.callbacks.0.name": "EMACallback", "trainer.callbacks.0.params.decay": 0.5}),
        (
            "model",
            {
                "model.name": "Net", "model.params.api_key": "REDACTED", "model.params.uri": "https://REDACTED@h",
                "model.params.width": 8,
            },
        ),
        ("trainer.credentials.user", {"trainer.credentials.user": "REDACTED"}),
        ("trainer.api.key", {"trainer.api.key": "REDACTED"}),
    ],
)  # fmt: skip
def test_value_by_its_key(key, found) -> None:
    assert missing_keys(TREE, [key]) == {}
    assert look_up(TREE, [key]) == found


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("trainer.optimiser.name", 'Did you mean "optimizer"?'),
        ("lr", 'Did you mean "trainer.optimizer.params.lr"?'),
        ("trainer.callbacks.1.name", "its only entry is 0."),
        ("model.params.depth", "To log a parameter that has its default value"),
        ("model.name.first", "model.name is a single value"),
        ("", "got an empty text"),
        ("a..b", "is not a valid path"),
    ],
)
def test_key_that_does_not_exist(key, said) -> None:
    found = missing_keys(TREE, ["model.name", key])
    assert list(found) == [1]
    assert said in found[1]
