import pytest

from cuelight.errors import ExplainError
from cuelight.explain import find_class

PETS = ["cat", "dog", "bird"]


@pytest.mark.parametrize(
    ("wanted", "found"), [("dog", 1), (2, 2), (0, 0), ("predicted", "predicted"), ("label", "label")]
)
def test_finds_a_class(wanted, found):
    assert find_class(wanted, PETS, 3) == found


@pytest.mark.parametrize(
    ("wanted", "start"),
    [
        ("dgo", 'unknown class "dgo". Did you mean "dog"? '),
        (3, "class index 3 is out of range. "),
        (-1, "class index -1 is out of range. "),
    ],
)
def test_another_one_is_an_error_that_lists_the_classes(wanted, start):
    with pytest.raises(ExplainError) as caught:
        find_class(wanted, PETS, 3)
    assert str(caught.value) == f'{start}Expected predicted, label, or one of 3 classes: 0 "cat", 1 "dog", 2 "bird".'


def test_classes_may_have_no_names_and_be_many():
    with pytest.raises(ExplainError, match=r"one of 1000 classes: 0, 1, .*, 19 and 980 more\.$"):
        find_class(1000, None, 1000)
    with pytest.raises(ExplainError, match=r'0 "cat", 1\.$'):
        find_class("dog", ["cat"], 2)
