import math
import random
import string

from cuelight.config.dumping import to_yaml
from cuelight.config.loading import parse_document

AWKWARD = [
    "on", "1e-3", "~", "null", "0x1f", "0o7", "1:30", "2024-01-01", "=", "<<", "-", "- a", "a: b", "#x", "'", '"',
    "*a", "&a", "!t", "%x", "@", "`", "{", "[", "\t", "a\tb", "\n", "a\n", "a\n\nb  \n", "  x ", "é", "\u2028",
    "\x85", "\x07", "\x1b", "😀", "", " ", "?", "|", ">", "1_0", "0b1", ".inf", "y", "TRUE", "+1", "1.", ".", "x" * 300,
]  # fmt: skip


def test_awkward_texts_read_back():
    tree = {"list": AWKWARD, **{f"k{text}": text for text in AWKWARD}, **dict.fromkeys(AWKWARD, 1)}
    assert parse_document(to_yaml(tree), "x").tree == tree


def test_types_read_back():
    tree = {"a": [1, 1.0, 1e-05, 1e300, -math.inf, True, None, "1", "1.0", "true", "null", {}, []], "b": {0: 1, "0": 2}}
    back = parse_document(to_yaml(tree), "x").tree
    assert back == tree
    assert [type(item) for item in back["a"]] == [type(item) for item in tree["a"]]


def test_random_trees_read_back():
    draw = random.Random(0)

    def value(depth):
        kind = draw.randrange(7 if depth < 4 else 4)
        if kind == 0:
            return draw.choice(
                [None, True, draw.randrange(-(10**6), 10**6), draw.uniform(-1, 1) * 10.0 ** draw.randrange(-99, 99)]
            )
        if kind < 4:
            return "".join(draw.choice(string.printable + "é😀\x85\u2029") for _ in range(draw.randrange(12)))
        if kind < 6:
            return {"".join(draw.choices(string.printable, k=3)): value(depth + 1) for _ in range(draw.randrange(4))}
        return [value(depth + 1) for _ in range(draw.randrange(4))]

    for _ in range(300):
        tree = {"a": value(0), "b": value(0)}
        assert parse_document(to_yaml(tree), "x").tree == tree


def test_the_same_list_twice_is_written_twice():
    shared = [1]
    assert "&" not in to_yaml({"a": shared, "b": shared})
