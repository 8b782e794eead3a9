import time

import pytest

from cuelight.config.loading import parse_document, parse_value, read_document
from cuelight.errors import ConfigError


def refusal(text):
    with pytest.raises(ConfigError) as caught:
        parse_document(text, "x.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_values_and_lines():
    document = parse_document("a: 1e-3\nb:\n  - on\n  - c: yes\n    1: '2'\n", "x.yaml")
    assert document.tree == {"a": 1e-3, "b": ["on", {"c": "yes", 1: "2"}]}
    assert str(document.locate(("a",))) == "x.yaml:1"
    assert str(document.locate(("b", "1", "1"))) == "x.yaml:5"
    assert str(document.locate(("b", "1", "missing"))) == "x.yaml:4"
    assert str(document.locate(("missing",))) == "x.yaml:1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.yaml: the file is empty"),
        ("# only a comment\n", "x.yaml: the file is empty"),
        ("- a\n", "x.yaml:1: the file contains a list; expected keys such as model: and data:"),
        ("epochs:5\n", "x.yaml:1: the file contains a single text or number"),
        ("a:\n\tb: 1\n", "x.yaml:2: unexpected tab"),
        ("a: 1\n\tb: 1\n", "x.yaml:2: unexpected tab"),
        ("a: b: c\n", "x.yaml:1: unexpected colon"),
        ("a:\n  b: 1\n c: 2\n", "x.yaml:3: this line is not indented like the lines around it"),
        ("b: 1\na: [1,\n 2\n", "x.yaml:2: the list that starts with [ has no ]"),
        ("b: 1\na: {c: 1\n\n", "x.yaml:2: the mapping that starts with { has no }"),
        ("b: 1\na: 'x\n\n", "x.yaml:2: the quotation mark opened here is never closed"),
        ("a: - b\n", "x.yaml:1: a list entry (- ...) must start on a line of its own"),
        ("a: @x\n", "x.yaml:1: a text that starts with @ needs quotes"),
        ("a: %x\n", "x.yaml:1: a text that starts with % needs quotes"),
        ("a: *x\n", 'x.yaml:1: a: "*x" refers to an anchor that is not defined above'),
        ('a: "C:\\q"\n', "x.yaml:1: a backslash starts an escape sequence"),
        ("a: 1\nb: \x00\n", "x.yaml:2: the character U+0000 is not allowed"),
        ("a: 1\n---\nb: 1\n", "x.yaml:2: a second document starts here"),
        ("a: &x 1\nb: &x 2\n", 'x.yaml:2: b: the anchor "&x" is already used'),
        ("true: 1\n", 'x.yaml:1: "true" cannot be a key'),
        ("1.5: 1\n", 'x.yaml:1: "1.5" cannot be a key'),
        ("? [a]\n: 1\n", "x.yaml:1: a list or mapping cannot be a key"),
    ],
)
def test_pitfalls_get_a_message_with_the_line(text, message):
    problems = refusal(text)
    assert len(problems) == 1
    assert problems[0].startswith(message)


def test_every_duplicate_key_is_reported():
    assert refusal("a: 1\nb: {c: 1, c: 2}\na: 2\n") == [
        "x.yaml:2: b.c: this key is already set in line 2; keep one",
        "x.yaml:3: a: this key is already set in line 1; keep one",
    ]


def test_folder_missing_file_and_encoding(tmp_path):
    def message(path):
        with pytest.raises(ConfigError) as caught:
            read_document(path)
        return str(caught.value.problems[0])

    (tmp_path / "digits.yaml").write_text("a: 1")
    assert "this is a folder; expected a YAML file; it contains digits.yaml" in message(tmp_path)
    assert "there is no such file" in message(tmp_path / "digit.yaml")
    assert "contains digits.yaml" in message(tmp_path / "digit.yaml")
    assert "does not exist" in message(tmp_path / "no" / "digit.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nname: caf\xe9\n")
    assert "latin.yaml:2: this is not UTF-8 text" in message(tmp_path / "latin.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * 2**21)
    assert "larger than 1 MiB" in message(tmp_path / "large.yaml")
    assert "not a regular file" in message("/dev/zero")


def test_a_byte_order_mark_is_no_trouble(tmp_path):
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_document(tmp_path / "bom.yaml").tree == {"a": 1}


def test_aliases_are_copies_and_merge_keys_give_way_to_own_keys():
    tree = parse_document("a: &a {x: [1], y: 2}\nb: *a\nc:\n  y: 3\n  <<: *a\n", "x.yaml").tree
    tree["a"]["x"].append(2)
    assert tree["b"] == {"x": [1], "y": 2}
    assert tree["c"] == {"x": [1], "y": 3}


def test_the_first_of_several_merged_mappings_wins():
    text = "a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}\nd: {'<<': 1}\n"
    tree = parse_document(text, "x.yaml").tree
    assert tree["c"] == {"x": 1, "y": 2}
    assert tree["d"] == {"<<": 1}
    assert refusal("a: {<<: 3}\n") == ["x.yaml:1: a: << takes a mapping, such as << : *defaults"]


HOSTILE_TAGS = [
    "!!python/object/apply:os.system [touch VICTIM]",
    "!!python/object/new:os.system [touch VICTIM]",
    "!!python/name:os.system",
    "!!python/module:os",
    "!!python/object/apply:subprocess.check_output [[touch, VICTIM]]",
    '!!python/object/apply:builtins.eval [\'open("VICTIM", "w")\']',
    "!!binary aGk=",
    "!!timestamp 2024-01-01",
    "!!set [a, b]",
    "!!int '5'",
    "!include VICTIM",
    "! x",
]


@pytest.mark.parametrize("tag", HOSTILE_TAGS)
def test_tags_do_nothing(tag, tmp_path):
    victim = tmp_path / "victim"
    tag = tag.replace("VICTIM", str(victim))
    for text in (f"a: {tag}\n", f"? {tag}\n: 1\n", f"a: [{{b: {tag} }}]\n"):
        problems = refusal(text)
        assert any("is not allowed" in problem for problem in problems)
    with pytest.raises(ConfigError):
        parse_value(tag, "command line")
    assert not victim.exists()


def _bomb():
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join(["l0: &l0 [x, x, x, x, x, x, x, x, x, x]", *levels])


def _deep_by_aliases():
    wrap = "[" * 30 + "{}" + "]" * 30
    return "\n".join(
        ["a0: &a0 " + wrap.format("x"), *(f"a{n}: &a{n} {wrap.format(f'*a{n - 1}')}" for n in range(1, 60))]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_bomb(), "has more than 100000 values"),
        ("a: &a {b: 1}\n" + "\n".join(f"k{n}: {{<<: [{', '.join(['*a'] * 900)}]}}" for n in range(100)), "more than"),
        ("a: &a [*a]\n", "refers to the value that it is part of"),
        ("a: &a {<<: *a}\n", "refers to the value that it is part of"),
        ("a: " + "[" * 100_000, "nested more than 50 levels deep"),
        ("a: " + "{b: " * 100_000, "nested more than 50 levels deep"),
        ("\n".join(" " * n + "a:" for n in range(1000)), "nested more than 50 levels deep"),
        ("- " * 100_000, "nested more than 50 levels deep"),
        (_deep_by_aliases(), "nested more than 50 levels deep"),
    ],
    ids=["bomb", "merge bomb", "self", "self merge", "flow", "flow map", "block", "dashes", "depth by aliases"],
)
def test_bombs_are_refused_quickly(text, message):
    start = time.perf_counter()
    assert message in refusal(text)[0]
    assert time.perf_counter() - start < 10


def test_messages_cannot_steer_the_terminal():
    problems = refusal('"\\e[2Ja": 1\n"\\e[2Ja": 2\n')
    assert "\x1b" not in "".join(problems)
    assert "\\x1b[2Ja" in problems[0]
