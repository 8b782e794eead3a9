import pytest

from cuelight.utils import dot_paths


@pytest.fixture
def tree():
    return {"a": {"b": [{"c": 1}, None]}, "n": None, "steps": {0: 1, 4: 2}}


def test_get_goes_through_mappings_lists_and_integer_keys(tree):
    assert dot_paths.get(tree, "a.b.0.c") == 1
    assert dot_paths.get(tree, "a.b.1") is None
    assert dot_paths.get(tree, "steps.4") == 2
    assert dot_paths.get(tree, "") is tree


@pytest.mark.parametrize("path", ["a.x", "a.b.2", "a.b.-1", "a.b.0.c.d", "n.x", "a..b", "a.b.x", "steps.1"])
def test_a_path_that_leads_nowhere(tree, path):
    assert not dot_paths.exists(tree, path)
    with pytest.raises(dot_paths.PathError):
        dot_paths.get(tree, path)


def test_the_message_suggests_a_near_key():
    with pytest.raises(dot_paths.PathError, match=r'trainer has no key "epoch"\. Did you mean "epochs"'):
        dot_paths.get({"trainer": {"epochs": 1}}, "trainer.epoch")


@pytest.mark.parametrize("switch", [True, False])
def test_put_makes_a_section_of_a_switch(switch):
    tree = {"tracker": {"mlflow": switch}}
    dot_paths.put(tree, "tracker.mlflow.tags.team", "a")
    assert tree == {"tracker": {"mlflow": {"tags": {"team": "a"}}}}


def test_put_sets_makes_and_keeps_integer_keys(tree):
    dot_paths.put(tree, "a.b.0.c", 2)
    dot_paths.put(tree, "a.b.1", "x")
    dot_paths.put(tree, "n.new.deep", 3)
    dot_paths.put(tree, "steps.8", 4)
    assert tree == {"a": {"b": [{"c": 2}, "x"]}, "n": {"new": {"deep": 3}}, "steps": {0: 1, 4: 2, 8: 4}}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a.b.2.c", r'a\.b is a list and has no entry "2": its entries are 0 to 1'),
        ("a.b.x", 'no entry "x"'),
        ("a.b.0.c.d", r"a\.b\.0\.c is a single value"),
        ("a.b.1.d", r"a.b.1 is empty \(null\)"),
        ("", "the path is empty"),
        ("a. b", "not a valid path"),
    ],
)
def test_put_refuses(tree, path, message):
    with pytest.raises(dot_paths.PathError, match=message):
        dot_paths.put(tree, path, 0)


def test_huge_index_is_refused_without_converting_it(tree):
    with pytest.raises(dot_paths.PathError, match="no entry"):
        dot_paths.put(tree, f"a.b.{'9' * 5000}", 0)
