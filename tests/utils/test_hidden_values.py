"""A hidden value is found however it is written, and ordinary text stays."""

import json

import pytest

from cuelight.utils.hidden_values import hide_value, show_values, without_hidden_values
from cuelight.utils.redaction import hide_users, identity_of, reason_of, redacted_text

SHOWN = "${env:X}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("hunter2", "xhunter2x"),
        ('pa"ss\\wörd', json.dumps('no pa"ss\\wörd')),
        ('pa"ss\\wörd', repr('no pa"ss\\wörd')),
        ("a/b c@d", "https://example.org/a%2Fb%20c%40d?x=1"),
        ("/data/my photos/", "/data/my photos/cat.png: not an image"),
        ("/data//photos/../photos", "/data/photos/cat.png"),
        ("photos/2026/", "/home/ada/photos/2026/cat.png"),
        ("several\nlines", "ValueError: several\nlines"),
        ("password", "no password for you"),
        ("831975264", "code 831975264"),
    ],
)
def test_value_is_hidden(value, text) -> None:
    hide_value(value, SHOWN)
    shown = without_hidden_values(text)
    assert value.strip("/") not in shown
    assert SHOWN in shown
    assert without_hidden_values(shown) == shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("test", "test/accuracy 0.5"),
        ("1000", "step 1000"),
        ("0.001", "lr 0.001"),
        ("5", "5 epochs"),
        ("root", "default_root_dir of the rooted tree"),
        (".", "runs/digits/1."),
        ("../", "no such file"),
        ("env:", "write ${env:NAME}"),
        ("NAME", "write ${env:NAME}"),
        ("", "nothing"),
    ],
)
def test_other_text_stays(value, text) -> None:
    hide_value(value, SHOWN)
    assert without_hidden_values(text) == text


def test_folder_behind_a_link_and_inside_the_working_directory(tmp_path, monkeypatch) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "store")
    monkeypatch.chdir(tmp_path)
    hide_value(str(tmp_path / "link"), SHOWN)
    for text in (f"{tmp_path}/link/a.png", f"{tmp_path}/store/a.png", "link/a.png"):
        assert without_hidden_values(text) == f"{SHOWN}/a.png"


def test_longest_value_comes_first_and_a_public_one_stays() -> None:
    hide_value("secret7", "${env:SHORT}")
    hide_value("secret7-and-more", "${env:LONG}")
    assert without_hidden_values("secret7-and-more, secret7") == "${env:LONG}, ${env:SHORT}"
    show_values("secret7")
    assert without_hidden_values("secret7-and-more, secret7") == "${env:LONG}, secret7"


def test_user_of_a_url_is_hidden_where_the_url_is_cut() -> None:
    hide_users("s3://bob:hunter2@bucket/logs and ssh://git@example.org")
    assert redacted_text('Invalid bucket name "bob:hunter2@bucket"') == 'Invalid bucket name "REDACTED@bucket"'
    assert redacted_text("wrong password hunter2 of bob at git") == "wrong password REDACTED of bob at git"


def test_value_of_several_lines_is_hidden_in_a_reason_of_one() -> None:
    hide_value("several\nlines", SHOWN)
    assert reason_of(ValueError("no several\nlines")) == f"ValueError: no {SHOWN}"


def test_identity_tells_hidden_addresses_apart() -> None:
    assert identity_of("http://ada:hunter2@one:5000") == "http://REDACTED@one:5000"
    hide_value("http://one:5000", SHOWN)
    hide_value("http://two:5000", SHOWN)
    one, two = identity_of("http://one:5000"), identity_of("http://two:5000")
    assert one != two
    assert "one:5000" not in one
    assert one.startswith(SHOWN)
    assert identity_of(one) == one
