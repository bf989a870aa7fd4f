"""Preprocessing in a model's file: the numbers of scikit-learn's transformers, the same values, nothing unpickled."""

import copy
import csv
import io
import json

import numpy as np
import pytest

import pynn
from pynn import cli, nn
from pynn.errors import DataError
from pynn.io.preprocessing import of_file, preprocessing_of

pd = pytest.importorskip("pandas")
compose = pytest.importorskip("sklearn.compose")
impute = pytest.importorskip("sklearn.impute")
pipeline = pytest.importorskip("sklearn.pipeline")
sk = pytest.importorskip("sklearn.preprocessing")

rng = np.random.default_rng(0)
X = rng.normal(size=(20, 3)) * [1, 10, 100]
GAPPY = np.where(rng.random(X.shape) < 0.2, np.nan, X)
CODES = rng.integers(0, 4, (20, 2)).astype(float)
WORDS = np.array([["red", "S"], ["blue", "M"], ["red", "L"], ["a,b", "M"]] * 5, object)
FRAME = pd.DataFrame(
    {
        "age": GAPPY[:, 0],
        "pay": GAPPY[:, 1],
        "id": np.arange(20),
        "color": WORDS[:, 0].copy(),
        "size": WORDS[:, 1].copy(),
    }
)
FRAME.loc[3, "size"] = None


def mixed(**more):
    numbers = pipeline.make_pipeline(impute.SimpleImputer(strategy="median"), sk.StandardScaler())
    words = pipeline.make_pipeline(
        impute.SimpleImputer(strategy="most_frequent"), sk.OneHotEncoder(handle_unknown="ignore")
    )
    return compose.ColumnTransformer([("n", numbers, ["age", "pay"]), ("w", words, ["color", "size"])], **more)


KINDS = {
    "StandardScaler": (sk.StandardScaler(), X),
    "StandardScaler without mean": (sk.StandardScaler(with_mean=False), X),
    "StandardScaler without scale": (sk.StandardScaler(with_std=False), X),
    "StandardScaler of a constant": (sk.StandardScaler(), X * [1, 0, 1]),
    "MinMaxScaler": (sk.MinMaxScaler((-1, 1)), X),
    "MinMaxScaler that clips": (sk.MinMaxScaler(clip=True), X),
    "MaxAbsScaler": (sk.MaxAbsScaler(), X),
    "RobustScaler": (sk.RobustScaler(), X),
    "OneHotEncoder of numbers": (sk.OneHotEncoder(sparse_output=False), CODES),
    "OneHotEncoder of texts": (sk.OneHotEncoder(), WORDS),
    "OneHotEncoder, first dropped": (sk.OneHotEncoder(drop="first"), WORDS),
    "OneHotEncoder, of two": (sk.OneHotEncoder(drop="if_binary"), WORDS[[0, 1, 2, 4]]),
    "OneHotEncoder, of two alone": (sk.OneHotEncoder(drop="if_binary"), WORDS[:2]),
    "OneHotEncoder of gaps": (sk.OneHotEncoder(), np.array([["a"], [None], ["b"]], object)),
    "OneHotEncoder of NaN": (sk.OneHotEncoder(), np.array([[1.0], [np.nan], [2.0]])),
    "OrdinalEncoder": (sk.OrdinalEncoder(), WORDS),
    "OrdinalEncoder, its own order": (sk.OrdinalEncoder(categories=[["S", "M", "L"]]), WORDS[:, 1:]),
    "OrdinalEncoder of NaN": (sk.OrdinalEncoder(encoded_missing_value=-1), np.array([["a"], [np.nan], ["b"]], object)),
    "OrdinalEncoder of gaps": (sk.OrdinalEncoder(encoded_missing_value=-1), np.array([["a"], [None], ["b"]], object)),
    "SimpleImputer": (impute.SimpleImputer(), GAPPY),
    "SimpleImputer, constant": (impute.SimpleImputer(strategy="constant", fill_value=-7), GAPPY),
    "SimpleImputer, an empty column": (impute.SimpleImputer(), np.c_[GAPPY[:, :1], np.full((20, 1), np.nan)]),
    "Pipeline": (pipeline.make_pipeline(impute.SimpleImputer(), "passthrough", sk.MinMaxScaler()), GAPPY),
    "Pipeline, gaps pass the scaler": (pipeline.make_pipeline(sk.StandardScaler(), impute.SimpleImputer()), GAPPY),
    "ColumnTransformer by place": (
        compose.ColumnTransformer([("a", sk.StandardScaler(), [0, 2])], remainder="passthrough"), X,
    ),
    "ColumnTransformer by slice and mask": (
        compose.ColumnTransformer(
            [("a", sk.StandardScaler(), slice(0, 2)), ("b", sk.MinMaxScaler(), [False, True, True])]
        ), X,
    ),
    "ColumnTransformer of a frame": (mixed(), FRAME),
    "ColumnTransformer with the rest": (mixed(remainder="passthrough"), FRAME),
    "ColumnTransformer with a scaled rest": (mixed(remainder=sk.MinMaxScaler()), FRAME),
    "Pipeline of a ColumnTransformer": (pipeline.make_pipeline(mixed(sparse_threshold=0), sk.StandardScaler()), FRAME),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
def test_values_are_scikit_learns_bit_for_bit(tmp_path, kind):
    transformer, x = KINDS[kind]
    expected = transformer.fit_transform(x)
    expected = expected.toarray() if hasattr(expected, "toarray") else expected
    model = nn.Sequential([nn.Input((expected.shape[1],)), nn.Dense(2)])
    model.save(tmp_path / "m.pynn", preprocessing=transformer)
    found = pynn.io.read_preprocessing(tmp_path / "m.pynn")
    np.testing.assert_array_equal(found.transform(x), expected.astype(float))
    assert found.step.makes == expected.shape[1]
    data = (tmp_path / "m.pynn").read_bytes()
    assert b"pickle" not in data
    # Loaded, copied and saved again, a model has it still.
    copy.deepcopy(pynn.load(tmp_path / "m.pynn")).save(tmp_path / "again.pynn")
    again = pynn.io.read_preprocessing(tmp_path / "again.pynn")
    np.testing.assert_array_equal(again.transform(x), expected.astype(float))


REFUSED = {
    "another kind": (sk.PolynomialFeatures().fit(X), "expected preprocessing of StandardScaler, .*PolynomialFeatures"),
    "no transformer": (42, "Received: builtins.int"),
    "not fitted": (sk.StandardScaler(), "Received: StandardScaler, not fitted. help: call its fit first"),
    "a function": (sk.FunctionTransformer(np.log1p).fit(np.abs(X)), "FunctionTransformer"),
    "rare categories": (sk.OneHotEncoder(min_frequency=2).fit(CODES), "min_frequency=None. Received: 2"),
    "marks of gaps": (impute.SimpleImputer(add_indicator=True).fit(GAPPY), "add_indicator=False"),
    "another mark of gaps": (impute.SimpleImputer(missing_values=-1).fit(X), "missing_values=-1"),
    "weights": (
        compose.ColumnTransformer([("a", sk.StandardScaler(), [0])], transformer_weights={"a": 2}).fit(X),
        "transformer_weights=None",
    ),
    "inside a pipeline": (pipeline.make_pipeline(sk.QuantileTransformer(n_quantiles=5)).fit(X), "Quantile"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_other_transformers_are_refused_by_name(tmp_path, kind):
    transformer, message = REFUSED[kind]
    model = nn.Sequential([nn.Input((3,)), nn.Dense(2)])
    with pytest.raises(DataError, match=message):
        model.save(tmp_path / "m.pynn", preprocessing=transformer)
    assert not (tmp_path / "m.pynn").exists()


def test_a_class_of_ones_own_is_no_transformer_of_scikit_learn():
    class StandardScaler(sk.StandardScaler):
        def transform(self, x):
            return x

    with pytest.raises(DataError, match="StandardScaler"):
        preprocessing_of(StandardScaler().fit(X))


def test_unknown_values_are_what_the_transformer_says():
    refuses = preprocessing_of(sk.OneHotEncoder().fit(WORDS))
    with pytest.raises(DataError, match=r"row 1, column 1: expected one of L, M, S\. Received: 'XL'"):
        refuses.transform(np.array([["red", "S"], ["red", "XL"]], object))
    ignores = sk.OneHotEncoder(handle_unknown="ignore").fit(WORDS)
    new = np.array([["green", "S"]], object)
    np.testing.assert_array_equal(preprocessing_of(ignores).transform(new), ignores.transform(new).toarray())
    codes = sk.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(WORDS)
    np.testing.assert_array_equal(preprocessing_of(codes).transform(new), codes.transform(new))
    with pytest.raises(DataError, match="row 0, column 0: expected a number that gives a finite one"):
        preprocessing_of(sk.StandardScaler().fit(X)).transform(GAPPY[[np.isnan(GAPPY[:, 0]).argmax()]])
    with pytest.raises(DataError, match="expected 3 columns"):
        preprocessing_of(sk.StandardScaler().fit(X)).transform(X[:, :2])


@pytest.fixture
def served(tmp_path, capsys):
    """Save a model with the preprocessing of FRAME; return a function that asks it on the command line."""
    transformer = mixed().fit(FRAME)
    z = transformer.transform(FRAME)
    z = z.toarray() if hasattr(z, "toarray") else z
    model = nn.Sequential([nn.Input((z.shape[1],)), nn.Dense(2, activation="softmax")])
    model.compile("adam", "cross_entropy", seed=0)
    model.save(tmp_path / "m.pynn", preprocessing=transformer, metadata={"classes": ["no", "yes"]})

    def ask(text, *flags):
        (tmp_path / "x.csv").write_text(text)
        arguments = ["predict", str(tmp_path / "m.pynn"), "--input", str(tmp_path / "x.csv"), *flags]
        status = cli.main(arguments)
        out, err = capsys.readouterr()
        if status:
            return err
        return np.array([[float(row["no"]), float(row["yes"])] for row in csv.DictReader(io.StringIO(out))], "float32")

    return ask, model.predict(z)


def test_tables_go_through_the_preprocessing_on_the_command_line(served):
    ask, expected = served
    assert (ask(FRAME.to_csv(index=False)) == expected).all()
    assert (ask(FRAME.to_csv()) == expected).all()  # row numbers in front
    shuffled = FRAME[["size", "pay", "color", "age"]]
    assert (ask(shuffled.to_csv(index=False, sep=";", decimal=",")) == expected).all()
    assert (ask(FRAME.to_csv(index=False, header=False)) == expected).all()  # by place
    text = FRAME.to_csv(index=False, na_rep="NA")
    assert (ask(text) == expected).all()


def test_what_the_preprocessing_does_not_know_is_named_with_its_place(served):
    ask, _ = served
    text = FRAME.to_csv(index=False)
    assert "expected a column 'color'" in ask(FRAME.drop(columns="color").to_csv(index=False))
    assert "expected 5 columns" in ask("1,2,3,red\n1,2,3,red\n")
    lines = text.splitlines()
    lines[2] = "x" + lines[2]
    assert "line 3, column 1 ('age'): expected a number. Received: 'x" in ask("\n".join(lines))


def test_gaps_that_nothing_fills_are_refused_or_filled_on_demand(tmp_path, capsys):
    model = nn.Sequential([nn.Input((2,)), nn.Dense(1)])
    model.save(tmp_path / "m.pynn", preprocessing=sk.StandardScaler().fit(X[:, :2]))
    (tmp_path / "x.csv").write_text("1,2\n3,\n")
    arguments = ["predict", str(tmp_path / "m.pynn"), "--input", str(tmp_path / "x.csv")]
    assert cli.main(arguments) == 2
    assert "line 2, column 2: expected a number. Received: ''" in capsys.readouterr().err
    assert cli.main([*arguments, "--missing", "mean"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    np.save(tmp_path / "x.npy", X[:4, :2])
    assert cli.main([*arguments[:-1], str(tmp_path / "x.npy")]) == 0


def records():
    found = preprocessing_of(mixed().fit(FRAME)).describe()
    return json.loads(json.dumps(found[0])), found[1]


def set_in(path, value):
    def change(table, tensors):
        for key in path[:-1]:
            table = table[key]
        table[path[-1]] = value

    return change


DAMAGED = {
    "an unknown kind": set_in(["step", "kind"], "pickle"),
    "a kind that is a list": set_in(["step", "kind"], ["chain"]),
    "more keys": set_in(["step", "more"], 1),
    "no steps": set_in(["step", "steps"], None),
    "places far away": set_in(["step", "places"], [[0, 99], [3, 4]]),
    "places that are true": set_in(["step", "places"], [[True, 1], [3, 4]]),
    "fewer places": set_in(["step", "places"], [[0, 1]]),
    "another width": set_in(["step", "width"], 3),
    "a width that is no number": set_in(["step", "width"], "5"),
    "a width inside": set_in(["step", "steps", 0, "width"], 1),
    "names twice": set_in(["names"], ["a"] * 5),
    "too few names": set_in(["names"], ["a"]),
    "names of numbers": set_in(["names"], [1, 2, 3, 4, 5]),
    "a category twice": set_in(["step", "steps", 1, "steps", 1, "texts 0"], ["a", "a"]),
    "no category": set_in(["step", "steps", 1, "steps", 1, "texts 0"], []),
    "categories of lists": set_in(["step", "steps", 1, "steps", 1, "texts 0"], [["a"]]),
    "a missing tensor": lambda table, tensors: tensors.pop("0.1.scale"),
    "a tensor more": lambda table, tensors: tensors.update(more=np.zeros(1)),
    "a tensor of float32": lambda table, tensors: tensors.update({"0.1.scale": np.ones(2, "float32")}),
    "a tensor that is longer": lambda table, tensors: tensors.update({"0.1.scale": np.ones(3)}),
    "a scale of 0": lambda table, tensors: tensors.update({"0.1.scale": np.zeros(2)}),
    "a scale of NaN": lambda table, tensors: tensors.update({"0.1.scale": np.full(2, np.nan)}),
    "dropped far away": lambda table, tensors: tensors.update({"1.1.dropped": np.array([9.0, 0.0])}),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_a_file_says_is_checked(kind):
    table, tensors = records()
    assert of_file(table, tensors).width == 5
    DAMAGED[kind](table, tensors)
    with pytest.raises(DataError, match="preprocessing"):
        of_file(table, tensors)


def test_steps_that_are_too_deep_are_refused():
    table = {"kind": "chain", "width": 1, "steps": []}
    for _ in range(30):
        table = {"kind": "chain", "width": 1, "steps": [table]}
    with pytest.raises(DataError, match="more than 10 deep"):
        of_file({"names": None, "step": table}, {})


def test_files_without_preprocessing_have_none(tmp_path):
    model = nn.Sequential([nn.Input((3,)), nn.Dense(2)])
    model.save(tmp_path / "m.pynn")
    assert pynn.io.read_preprocessing(tmp_path / "m.pynn") is None
