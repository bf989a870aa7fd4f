"""Positional arguments mean what they mean in Keras, or are taken by name alone."""

import importlib
import inspect
import json
import pkgutil
import re

import numpy as np
import pytest

import pynn
from pynn import init, losses, metrics, nn, optim, regularizers, schedules, train
from pynn.train import Results

# The order of Keras's parameters, in pynn's names, as far as pynn takes them positionally (Keras 3.0 to 3.9).
KERAS = {
    # layers
    "Activation": "activation",
    "AvgPool1D": "pool_size strides padding",
    "AvgPool2D": "pool_size strides padding",
    "BatchNormalization": "axis momentum epsilon center scale",
    "Bidirectional": "layer merge_mode",
    "Concatenate": "axis",
    "Conv1D": "filters kernel_size strides padding",
    "Conv2D": "filters kernel_size strides padding",
    "Conv2DTranspose": "filters kernel_size strides padding",
    "Cropping2D": "cropping",
    "Dense": "units activation use_bias kernel_initializer bias_initializer kernel_regularizer bias_regularizer",
    "DepthwiseConv2D": "kernel_size strides padding depth_multiplier",
    "Dropout": "rate",
    "ELU": "alpha",
    "Embedding": "input_dim output_dim embeddings_initializer embeddings_regularizer",
    "GRU": "units activation recurrent_activation use_bias",
    "GlobalAvgPool": "",
    "GlobalMaxPool": "",
    "GroupNormalization": "groups axis epsilon center scale",
    "Input": "shape",
    "LSTM": "units activation recurrent_activation use_bias",
    "LayerNormalization": "axis epsilon center scale",
    "LeakyReLU": "negative_slope",
    "LocallyConnected2D": "filters kernel_size strides padding",
    "Masking": "mask_value",
    "MaxPool1D": "pool_size strides padding",
    "MaxPool2D": "pool_size strides padding",
    "Model": "inputs outputs name",
    "Normalization": "axis mean variance invert",
    "PReLU": "alpha_initializer alpha_regularizer alpha_constraint shared_axes",
    "ReLU": "max_value negative_slope threshold",
    "Rescaling": "scale offset",
    "Reshape": "target_shape",
    "SeparableConv2D": "filters kernel_size strides padding",
    "Sequential": "layers",
    "Softmax": "axis",
    "SimpleRNN": "units activation use_bias",
    "SpatialDropout2D": "rate",
    "TimeDistributed": "layer",
    "UpSampling2D": "size",
    "ZeroPadding2D": "padding",
    # losses
    "BinaryCrossEntropy": "from_logits label_smoothing",
    "CrossEntropy": "from_logits label_smoothing",
    "CategoricalCrossEntropy": "from_logits label_smoothing",
    "SparseCategoricalCrossEntropy": "from_logits",
    "Huber": "delta",
    # metrics
    "Mean": "function name",
    "TopK": "k name",
    # optimizers: learning_rate first; Adam's beta_1, beta_2, epsilon, amsgrad
    "AMSGrad": "learning_rate beta_1 beta_2 eps",
    "AdaMax": "learning_rate beta_1 beta_2 eps",
    "Adadelta": "learning_rate rho eps",
    "Adagrad": "learning_rate initial_accumulator eps",
    "Adam": "learning_rate beta_1 beta_2 eps amsgrad",
    "AdamW": "learning_rate",
    "Nadam": "learning_rate beta_1 beta_2 eps",
    "RMSprop": "learning_rate rho momentum eps centered",
    "SGD": "learning_rate momentum nesterov",
    # schedules
    "Cosine": "initial steps",
    "Exponential": "initial",
    "InverseTime": "initial",
    "Piecewise": "boundaries levels",
    # initializers and regularizers
    "Constant": "value",
    "Normal": "mean std",
    "Orthogonal": "gain",
    "TruncatedNormal": "mean std",
    "Uniform": "low high",
    "VarianceScaling": "scale mode distribution",
    "L1": "l1",
    "L1L2": "l1 l2",
    "L2": "l2",
    "MaxNorm": "limit",
    # callbacks
    "CSVLogger": "path separator append",
    "EarlyStopping": "monitor min_delta patience",
    "LearningRateScheduler": "schedule",
    "ModelCheckpoint": "folder monitor",
    "ReduceLROnPlateau": "monitor factor patience",
    # methods
    "compile": "optimizer loss metrics",  # Keras 2; Keras 3 has loss_weights before metrics, which are refused here
    "evaluate": "x y batch_size",
    "fit": "x y",
    "predict": "x batch_size verbose",
    "save": "path",
    "summary": "",
    "train_on_batch": "x y sample_weight class_weight",
}

# What Keras does not have under such a name, or with the same first arguments as PyTorch.
OWN = {
    "ElasticDeformation": "alpha sigma",
    "JordanRNN": "units outputs activation output_activation",
    "L2Pool2D": "pool_size strides padding",
    "LayerNormLSTM": "units epsilon",
    "LocalContrastNormalization": "window epsilon",
    "LocalResponseNormalization": "depth_radius bias alpha beta",
    "Maxout": "units pieces",
    "Module": "name seed",
    "RandomCrop": "size",
    "RandomErasing": "p",
    "RandomFlip": "p",
    "RandomPCAColor": "scale components",
    "RandomShift": "shift",
    "OneCycle": "max_lr steps",
    "Polynomial": "initial steps",
    "StepDecay": "initial drop every",
    "WarmUp": "schedule steps start",
    "ProgressBar": "verbose file",
    "CallbackList": "callbacks",
}

HIDDEN = {"Loss", "Metric", "Optimizer", "Schedule", "Initializer", "Callback", "Profile", "LambdaCallback", "History",
          "LayerCount", "Results"}  # fmt: skip
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
METHODS = [n for n in KERAS if n.islower()]


def positional(function):
    names = [p.name for p in inspect.signature(function).parameters.values() if p.kind in POSITIONAL]
    return [n for n in names if n not in ("self", "_")]


def public():
    for module in (nn, losses, metrics, optim, schedules, init, regularizers, train):
        for name in dir(module):
            if name.startswith("_") or (hasattr(module, "__all__") and name not in module.__all__):
                continue
            thing = getattr(module, name)
            if inspect.isclass(thing) and thing.__module__.startswith("pynn") and name not in HIDDEN:
                yield f"{module.__name__}.{name}", name, thing


@pytest.mark.parametrize(("path", "name", "thing"), [pytest.param(*p, id=p[0]) for p in public()])
def test_positional_arguments_stand_as_in_keras(path, name, thing):
    if thing is schedules.Constant:
        assert positional(thing) == ["initial"]
        return
    given = positional(thing)
    if name in ("Accuracy", "MAE", "MSE") and path.startswith("pynn.metrics"):
        assert given in ([], ["name"])  # Keras's metrics take their name first
        return
    if name not in KERAS and name not in OWN:  # a class that the tables do not know: what it needs, and two more
        needed = [p for p in inspect.signature(thing).parameters.values() if p.default is p.empty]
        assert len(given) <= len([p for p in needed if p.kind in POSITIONAL]) + 2
        return
    allowed = (KERAS[name] if name in KERAS else OWN[name]).split()
    assert given == allowed[: len(given)], f"{path}{inspect.signature(thing)}: expected {allowed} and the rest by name"


@pytest.mark.parametrize("name", METHODS)
def test_methods_take_arguments_as_in_keras(name):
    given = positional(getattr(nn.Module, name))
    if name == "compile":
        given = given[:3]  # seed and run_eagerly follow; numbers and flags are refused as metrics and seeds
    assert given == KERAS[name].split()


def test_functions_of_metrics_take_weights_by_name():
    for name in ("accuracy", "binary_accuracy", "top_k_accuracy", "confusion_matrix", "precision", "recall", "f1",
                 "auc", "mse", "mae", "r2"):  # fmt: skip
        given = positional(getattr(metrics, name))
        assert given[:2] == ["y_true", "y_pred"]
        assert given[2:] in ([], ["classes"]), name


TRAPS = [
    (lambda: nn.LSTM(8, "relu"), ValueError, r"\[lstm\] expected activation 'tanh'.*Received: activation='relu'"),
    (lambda: nn.GRU(8, "tanh", "relu"), ValueError, r"\[gru\] expected recurrent_activation 'sigmoid'"),
    (lambda: nn.LSTM(8, False), ValueError, r"activation=False"),
    (lambda: nn.BatchNormalization(0.9), ValueError, r"axis=0.9.*by name"),
    (lambda: nn.BatchNormalization(axis=1), ValueError, r"last axis.*axis=1"),
    (lambda: nn.Conv2D(8, 3, 1, "same", "channels_first"), TypeError, "positional"),
    (lambda: nn.UpSampling2D(2, "channels_last"), TypeError, "positional"),
    (lambda: nn.RandomCrop(28, 28), TypeError, "positional"),
    (lambda: nn.RandomRotation(0.1), TypeError, "positional"),
    (lambda: nn.Dropout(0.5, None), TypeError, "positional"),
    (lambda: nn.Flatten("channels_last"), TypeError, "positional"),
    (lambda: nn.GlobalAvgPool("channels_last"), TypeError, "positional"),
    (lambda: optim.AdamW(1e-3, 0.01), TypeError, "positional"),
    (lambda: schedules.Exponential(0.1, 1000, 0.96), TypeError, "positional"),
    (lambda: schedules.Cosine(0.1, 1000, 0.1), TypeError, "positional"),
    (lambda: train.EarlyStopping("val_loss", 0, 3, 1), TypeError, "positional"),
    (lambda: train.ReduceLROnPlateau("val_loss", 0.1, 3, 1), TypeError, "positional"),
    (lambda: metrics.AUC(200), TypeError, "positional"),
    (lambda: metrics.Precision(0.5), TypeError, "positional"),
    (lambda: losses.KLDivergence("sum"), TypeError, "positional"),
    (lambda: model().evaluate(X, Y, 2, np.ones(4)), TypeError, "positional"),
    (lambda: model().summary(120), TypeError, "positional"),
    (lambda: model().compile("sgd", "mse", [0.5, 0.5]), (ValueError, TypeError), "0.5"),
]

X, Y = np.ones((4, 3), np.float32), np.array([0, 1, 0, 1])


def model(*measured):
    net = nn.Sequential([nn.Input((3,)), nn.Dense(2)], seed=0)
    net.compile("sgd", "cross_entropy", metrics=list(measured))
    return net


@pytest.mark.parametrize(("call", "error", "match"), TRAPS)
def test_what_means_something_else_in_keras_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_keras_scripts_that_say_the_activations_run():
    x = np.ones((2, 3, 4), np.float32)
    assert nn.LSTM(5, "tanh")(x).shape == nn.LSTM(5, "tanh", "sigmoid", False)(x).shape == (2, 5)
    assert len(nn.GRU(5, activation="tanh", use_bias=False)(x).shape) == 2
    assert nn.BatchNormalization(-1, 0.9).momentum == 0.9


def test_results_unpack_count_and_have_names():
    net = model("accuracy", "f1")
    found = net.evaluate(X, Y)
    loss, accuracy, f1 = found
    assert (found["loss"], found["accuracy"], found["f1"]) == (loss, accuracy, f1) == (found[0], found[1], found[2])
    assert list(found.keys()) == ["loss", "accuracy", "f1"]
    assert isinstance(loss, float)
    assert "accuracy" in found
    assert found[1:] == [accuracy, f1]
    assert dict(found) == {**found} == {"loss": loss, "accuracy": accuracy, "f1": f1} == found
    assert json.loads(json.dumps(found)) == dict(found)
    assert list(reversed(found)) == [f1, accuracy, loss]
    with pytest.raises(KeyError, match="acc"):
        found["acc"]
    with pytest.raises(TypeError, match="loss alone"):
        float(found)
    assert f"{model().evaluate(X, Y):.3f}" == f"{float(model().evaluate(X, Y)):.3f}"
    one, *_ = net.train_on_batch(X, Y)
    assert one == pytest.approx(loss)
    assert isinstance(net.train_on_batch(X, Y), Results)


def test_the_order_of_losses_is_that_of_pytorch():
    loss = pynn.losses.MSE()
    assert positional(type(loss).__call__)[:2] == ["y_pred", "y_true"]


# Where the signature has None, for what the docstring says.
RESOLVED = {("TopK", "name"), ("AUC", "name"), ("Model", "seed"), ("Sequential", "seed")}


def documented_defaults():
    """Yield (qualified name, parameter, what its docstring gives as the default, the signature's) of all of pynn."""
    for found in pkgutil.walk_packages(pynn.__path__, "pynn."):
        if found.name.startswith("pynn.core.") or found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        if not module.__file__.endswith(".py"):
            continue
        for thing in [value for name, value in vars(module).items() if not name.startswith("_") and callable(value)]:
            if getattr(thing, "__module__", "") != found.name:
                continue
            methods = [f for name, f in vars(thing).items() if name[0] != "_"] if inspect.isclass(thing) else []
            for function in (thing, *filter(inspect.isfunction, methods)):
                said = re.findall(r"^([\w, ]+) : .*?\bdefault (.+)$", inspect.getdoc(function) or "", re.M)
                parameters = inspect.signature(function).parameters if said else {}
                for names, text in said:
                    for place, name in enumerate(names.split(", ")):
                        yield function.__qualname__, name, number_of(text, place), parameters[name].default


def number_of(text, place):
    """Return the value that a docstring names, of several the one at this place; None for words."""
    parts = text.replace(" and ", ", ").split(", ")
    text = parts[place] if len(parts) > 1 and "(" not in text else text
    try:
        return eval(re.sub(r"(?<=\d),(?=\d{3})", "", text), {"__builtins__": {}}, {})
    except (SyntaxError, NameError):
        return None


def test_defaults_are_those_of_the_docstrings():
    seen = 0
    for function, name, said, default in documented_defaults():
        if said is None or (function, name) in RESOLVED:
            continue
        if isinstance(default, type):
            default = np.dtype(default).name
        assert default == said, (function, name)
        assert isinstance(default, bool) == isinstance(said, bool), (function, name)
        seen += 1
    assert seen > 300
