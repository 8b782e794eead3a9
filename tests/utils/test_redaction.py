"""Secrets are found by their key, in URLs and by their form; what only looks like one stays."""

import pytest

from cuelight.utils.environment import EnvironmentText
from cuelight.utils.redaction import REDACTED, reason_of, redacted, redacted_text
from cuelight.utils.secret_names import names_secret

SECRET = "hunter2xyz"  # in every one of these
LEAKS = {
    "user and password": f"https://ada:{SECRET}@example.org/ada/model.git",
    "token as user": f"https://{SECRET}@example.org/ada/model.git",
    "token for git": f"https://x-access-token:{SECRET}@example.org/ada/model.git",
    "password with an at sign": f"postgresql+psycopg2://mlflow:p@{SECRET}@db:5432/runs",
    "password with a slash": f"https://ada:p/{SECRET}@example.org",
    "query": f"https://example.org/data?size=3&token={SECRET}",
    "fragment": f"https://example.org/#access_token={SECRET}",
    "signature of S3": f"https://bucket.s3.example.org/a?X-Amz-Signature={SECRET}&X-Amz-Expires=60",
    "credential of S3": f"https://bucket.s3.example.org/a?X-Amz-Credential={SECRET}%2F2026",
    "signature of Azure": f"https://a.blob.example.org/c?sv=2024&sig={SECRET}%3D",
    "key of Azure": f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={SECRET}==",
    "bearer": f"Bearer {SECRET}",
    "header": f"Authorization: Basic {SECRET}",
    "assignment": f"connect with user=ada password={SECRET}",
    "quoted assignment": f'{{"api_key": "{SECRET} {SECRET}", "lr": 1}}',
    "line of YAML": f"lr: 1\nsecret: {SECRET}\nepochs: 3",
    "option": f"train --hf-token {SECRET} --epochs 3",
    "assignment after a dot": f".password={SECRET}",
    "assignment after a digit": f"1password={SECRET}",
    "scheme after a digit": f"1https://ada:{SECRET}@example.org",
    "option with sign": f"train --password={SECRET}",
    "assignment after another name": f"ValueError: password: {SECRET}",
    "assignment in an assignment": f"connect=password={SECRET}",
    "password for a database": f"host=db DB_PASS={SECRET}",
    "key of a section": f"api.key: {SECRET}",
    "short query": f"https://example.org/data?pw={SECRET}",
    "GitHub": f"ghp_{SECRET * 3}",
    "Hugging Face": f"uses hf_{SECRET * 3} to read",
    "Stripe": f"sk_live_{SECRET * 3}",
    "npm": f"npm_{SECRET * 3}",
    "Google": f"ya29.{SECRET}-{SECRET}",
    "web token": f"eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}",
    "web hook": f"https://hooks.slack.com/services/T0/B0/{SECRET}",
    "private key": f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    "cut private key": f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
}


@pytest.mark.parametrize("text", LEAKS.values(), ids=LEAKS)
def test_secret_in_a_text_is_replaced(text) -> None:
    shown = redacted_text(text)
    assert SECRET not in shown
    assert REDACTED in shown
    assert redacted_text(shown) == shown


def test_key_of_hexadecimal_digits_is_known_by_its_beginning() -> None:
    assert redacted_text(f"logs in with dapi{'0f' * 16}") == f"logs in with {REDACTED}"


@pytest.mark.parametrize(
    "text",
    [
        "git@github.com:ada/model.git", "ssh://git@github.com/ada/model.git", "s3://bucket/runs?region=eu",
        "http://127.0.0.1:5000/#/experiments/1@2", "https://[::1]:80/x@y", "val/loss: 0.05", "max_tokens=512",
        "the token embeddings are shared", "author: Ada <ada@example.org>", "2b8ff1c0a1d24e0f9a6fd0b6a4e0f5c1d2e3f4a5",
        "cuelight train", "password: ${env:MLFLOW_PASSWORD}", "key=value", "https://ada:${env:PASSWORD}@example.org",
        "https://${env:USER}:${env:PASSWORD}@example.org", "https://example.org/?token=${env:TOKEN}",
        "${env:HF_TOKEN:-}", "bypass=2", "pass_through: 3", "ValueError: max_tokens: 3",
    ],
)  # fmt: skip
def test_text_without_a_secret_stays(text) -> None:
    assert redacted_text(text) == text


@pytest.mark.parametrize(
    "key",
    [
        "password", "db_password2", "pwd", "api_key", "apiKey", "API-KEY", "WANDB_API_KEY", "token", "hf_token",
        "accessToken", "access_tokens", "private_key", "aws_access_key_id", "aws_secret_access_key", "credentials",
        "auth", "http.auth", "client_secret", "secrets.0", "token.0", "Authorization", "connection_string", "DB_PASS",
        "smtp_pass", "dbPass2", "pass", "pw", "db_pw", "creds", "aws_creds", "api.key", "api.0.key", "service.api.keys",
    ],
)  # fmt: skip
def test_key_names_a_secret(key) -> None:
    assert names_secret(key)


@pytest.mark.parametrize(
    "key",
    [
        "tokenizer", "max_tokens", "num_tokens", "tokens", "class_token", "pad_token", "token_dim", "author", "authors",
        "authority", "key", "keys", "sort_key", "keypoints", "monitor", "target_layer", "signature", "passes", "name",
        "compass", "pass_through", "passThrough", "bypass", "by_pass", "forward_pass", "low_pass", "pw_kernel_size",
        "conv_pw", "sort.key", "api.keypoints", "shared.keypoints", "compass.words", "credit", 0,
    ],
)  # fmt: skip
def test_key_names_no_secret(key) -> None:
    assert not names_secret(key)


@pytest.mark.parametrize("value", [SECRET, 1234, [SECRET], {"user": "ada", "value": SECRET}, (SECRET,), b"x"])
def test_whatever_stands_under_a_secret_key_is_replaced(value) -> None:
    assert redacted({"password": value}) == {"password": REDACTED}


@pytest.mark.parametrize("value", [None, True, False, ""])
def test_nothing_to_hide_is_shown(value) -> None:
    assert redacted({"password": value}) == {"password": value}


def test_trees_are_searched_to_their_leaves() -> None:
    tree = {"a": [{"b": ({"token": SECRET}, f"https://u:{SECRET}@h")}], f"https://u:{SECRET}@h": 1, 3: 0.5}
    assert redacted(tree) == {
        "a": [{"b": ({"token": REDACTED}, "https://REDACTED@h")}],
        "https://REDACTED@h": 1,
        3: 0.5,
    }


def test_pair_of_name_and_value() -> None:
    entries = [{"name": "DB_PASSWORD", "value": SECRET}, {"name": "lr", "value": 3}]
    assert redacted(entries) == [{"name": "DB_PASSWORD", "value": REDACTED}, {"name": "lr", "value": 3}]


def test_section_and_key_name_a_secret_together() -> None:
    tree = {"api": {"key": SECRET, "prod": [{"access": [{"key_id": SECRET}]}]}, "sort": {"key": "name"}}
    assert redacted(tree) == {
        "api": {"key": REDACTED, "prod": [{"access": [{"key_id": REDACTED}]}]},
        "sort": {"key": "name"},
    }


@pytest.mark.parametrize(
    ("entries", "shown"),
    [
        (["--password", SECRET, "--lr", "3"], ["--password", REDACTED, "--lr", "3"]),
        (["-api-key", SECRET], ["-api-key", REDACTED]),
        (["--use-auth", "--lr", "3"], ["--use-auth", "--lr", "3"]),
        ([["Authorization", f"Basic {SECRET}"], ["Accept", "a"]], [["Authorization", REDACTED], ["Accept", "a"]]),
        (("password", [SECRET]), ("password", REDACTED)),
        (["password", "${env:NAME}", "key", "value"], ["password", "${env:NAME}", "key", "value"]),
    ],
)
def test_secret_that_the_entry_before_names(entries, shown) -> None:
    assert redacted(entries) == shown


def test_reference_with_an_empty_default_is_shown() -> None:
    assert redacted({"password": "${env:NAME:-}"}) == {"password": "${env:NAME:-}"}


def test_header_from_the_environment_shows_its_template() -> None:
    headers = {"Authorization": "Bearer ${env:TOKEN}"}
    assert redacted(headers) == headers


def test_reason_is_one_line_without_secrets_and_not_too_long() -> None:
    told = reason_of(ConnectionError(f"no answer\n from https://ada:{SECRET}@example.org"))
    assert told == "ConnectionError: no answer from https://REDACTED@example.org"
    assert reason_of(ValueError(f"password: {SECRET}")) == "ValueError: password: REDACTED"
    long = reason_of(ValueError("x" * 482 + f" https://ada:{SECRET}@example.org"))  # the end would cut the host off
    assert SECRET not in long
    assert len(long) < 510


def test_text_from_the_environment_shows_its_template() -> None:
    read = EnvironmentText(SECRET, "${env:NAME}")
    with_default = EnvironmentText(SECRET, f"${{env:NAME:-{SECRET}}}")
    assert redacted({"uri": read, "password": read}) == {"uri": "${env:NAME}", "password": "${env:NAME}"}
    assert redacted({"password": with_default}) == {"password": REDACTED}


def test_argument_is_left_alone() -> None:
    tree = {"password": SECRET, "list": [f"https://u:{SECRET}@h"]}
    redacted(tree)
    assert tree == {"password": SECRET, "list": [f"https://u:{SECRET}@h"]}


@pytest.mark.parametrize(
    "unit",
    [
        "x", "x.", "x+", "x-", "--x", "a://", "a:b@", "&", "a=", "eyJ", "bearer ", "-----BEGIN ", "${env:", "token=",
        'token="', "token=${", "--token ", "--a ", "ya29.",
    ],
)  # fmt: skip
def test_long_text_takes_no_longer_than_its_length(unit) -> None:
    """A quadratic search would take hours."""
    text = unit * (1_000_000 // len(unit))
    assert redacted_text(text)
