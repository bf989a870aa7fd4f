"""Tables whose columns are not those of the training, or stand in another order."""

import copy
import warnings

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.errors import DataError

pd = pytest.importorskip("pandas")
R = np.random.default_rng(3)
TABLE = pd.DataFrame(R.normal(size=(12, 3)), columns=["a", "b", "c"])
Y = TABLE["a"].to_numpy()


def trained(x=TABLE):
    model = nn.Sequential([nn.Input((3,)), nn.Dense(1, seed=1)])
    model.compile("sgd", "mse", seed=0)
    model.fit(x, Y, verbose=0)
    return model


OTHERS = {
    "another order": (TABLE[["a", "c", "b"]], r"order.*Received: 'c' as column 1, which was 'b'"),
    "another name": (TABLE.rename(columns={"a": "z"}), r"columns that fit\(\) was given.*without 'a' and with 'z'"),
    "one more": (TABLE.assign(d=1.0), "with 'd'"),
}
CALLS = {
    "predict": lambda model, x: model.predict(x),
    "evaluate": lambda model, x: model.evaluate(x, Y, verbose=0),
    "validation": lambda model, x: model.fit(TABLE, Y, validation_data=(x, Y), verbose=0),
    "train_on_batch": lambda model, x: model.train_on_batch(x, Y),
    "predict_fn": lambda model, x: model.predict_fn()(x),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("other", OTHERS)
def test_other_columns_are_refused(other, call):
    x, text = OTHERS[other]
    model = trained()
    with pytest.raises(DataError, match=text):
        CALLS[call](model, x)


def test_what_has_no_names_or_the_same_is_taken():
    model = trained()
    expected = model.predict(TABLE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in (
            TABLE.to_numpy(),
            TABLE.copy(),
            TABLE.rename(columns={"a": 0, "b": 1, "c": 2}),
            TABLE.values.tolist(),
        ):
            assert (model.predict(x) == expected).all()
        of_arrays = trained(TABLE.to_numpy())
        assert (of_arrays.predict(TABLE[["c", "b", "a"]]) == of_arrays.predict(TABLE.to_numpy()[:, ::-1])).all()


def test_a_new_training_has_its_own_columns_and_a_refused_one_none():
    model = trained()
    turned = TABLE[["c", "b", "a"]]
    with pytest.raises(ValueError, match="as many targets"):
        model.fit(turned, Y[:5], verbose=0)
    with pytest.raises(DataError, match="order"):
        model.predict(turned)
    model.fit(turned, Y, verbose=0)
    model.predict(turned)
    model.fit(TABLE.to_numpy(), Y, verbose=0)
    model.predict(TABLE)


def test_files_and_copies_keep_them(tmp_path):
    model = trained()
    model.save(tmp_path / "m.pynn", metadata={"of": "mine"})
    assert pynn.io.read_metadata(tmp_path / "m.pynn") == {"of": "mine", "columns": ["a", "b", "c"]}
    for other in (pynn.load(tmp_path / "m.pynn"), copy.deepcopy(model)):
        with pytest.raises(DataError, match="order"):
            other.predict(TABLE[["c", "b", "a"]])
        assert (other.predict(TABLE) == model.predict(TABLE)).all()
