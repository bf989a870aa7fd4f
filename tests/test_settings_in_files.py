"""Settings that a file can hold come back as they were, and what it cannot hold is said."""

import numpy as np
import pytest

from pynn.errors import DataError
from pynn.io.config import decode, encode

VALUES = [
    None, True, 0, -3, 2.5, "text", float("inf"), [1, "a", [2.0]], (1, (2, "b"), []), {"a": 1, "b": {"c": [None]}},
    {0: 0.25, 1: 2.0}, {"a": 1, 2: "b", 2.5: [1]}, {(True): 1}, np.dtype("float32"),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_settings_come_back(value):
    found = decode(encode(value, "here"), "here")
    assert found == value
    assert type(found) is type(value)
    assert repr(found) == repr(value)  # 1 and True, 2 and 2.0 are equal


def test_a_nan_comes_back():
    assert np.isnan(decode(encode(float("nan"), "here"), "here"))


@pytest.mark.parametrize(
    "content",
    [{"pairs": [[1]]}, {"pairs": [[1, 2, 3]]}, {"pairs": [[1, 2], [1, 3]]}, {"pairs": [[[1], 2]]}, {"float": "1"},
     {"tuple": 1}, {"dict": []}, {"dtype": "<f2"}, {"no such": 1}, {"a": 1, "b": 2}],
    ids=repr,
)  # fmt: skip
def test_what_is_no_setting_is_refused(content):
    with pytest.raises(DataError, match="here"):
        decode(content, "here")
