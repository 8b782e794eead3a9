from collections import namedtuple

import pytest
import torch

from cuelight.errors import ExplainError
from cuelight.explain.outputs import choose_output

FIRST, SECOND = torch.zeros(2, 3), torch.zeros(2, 4)
Pair = namedtuple("Pair", ["logits", "features"])  # noqa: PYI024


@pytest.mark.parametrize(
    ("outputs", "output", "names", "chosen"),
    [
        (FIRST, None, None, FIRST),
        (FIRST, "logits", ("logits",), FIRST),
        ((FIRST,), None, None, FIRST),
        ((FIRST, SECOND), 1, None, SECOND),
        ((FIRST, SECOND), -1, None, SECOND),
        ([FIRST, SECOND], "aux", ("logits", "aux"), SECOND),
        ({"logits": FIRST, "aux": SECOND}, "aux", None, SECOND),
        (Pair(FIRST, SECOND), "features", None, SECOND),
    ],
)
def test_chooses_an_output(outputs, output, names, chosen):
    assert choose_output(outputs, output, names) is chosen


@pytest.mark.parametrize(
    ("outputs", "output", "names", "message"),
    [
        ((FIRST, SECOND), None, ("logits", "aux"), 'the model has 2 outputs: 0 "logits", 1 "aux". Set output'),
        ({"a": FIRST, "b": SECOND}, None, None, 'the model has 2 outputs: 0 "a", 1 "b". Set output'),
        ((FIRST, SECOND), "axu", ("logits", "aux"), 'no output "axu". Did you mean "aux"? Its outputs are 0 "logits"'),
        ((FIRST, SECOND), 2, None, 'no output 2. Its outputs are 0 "output_0", 1 "output_1".'),
        (({"a": 1}, FIRST), 0, None, "the output output_0 is dict; expected logits"),
        (FIRST.long(), None, None, "the output output_0 is torch.int64"),
    ],
)
def test_says_which_outputs_there_are(outputs, output, names, message):
    with pytest.raises(ExplainError) as caught:
        choose_output(outputs, output, names)
    assert message in str(caught.value)
