"""The playground: a page in which small networks are trained by pynn's own kernels and looked at from all sides."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from pynn import nn, optim
from pynn._version import __version__
from pynn.checks import choice
from pynn.core.tensor import to_array
from pynn.errors import DataError
from pynn.export.web import web_data
from pynn.files import write_whole
from pynn.web import page, playground_page

__all__ = ["LANGUAGES", "Playground", "convolution", "facts", "playground", "recorded"]

LANGUAGES = ("en", "es")
MOST_POINTS = 2000
ACTIVATIONS = ("tanh", "relu", "sigmoid", "leaky_relu", "elu", "softsign", "linear")
#: Losses, and the function that the last layer ends in.
LOSSES = {"binary_crossentropy": "sigmoid", "mean_squared_error": "linear", "mean_absolute_error": "linear"}
#: Rules of optimization, as Python spells them.
OPTIMIZERS = {
    "sgd": "SGD(RATE)",
    "momentum": "SGD(RATE, momentum=0.9)",
    "nesterov": "SGD(RATE, momentum=0.9, nesterov=True)",
    "adagrad": "Adagrad(RATE)",
    "rmsprop": "RMSprop(RATE)",
    "adam": "Adam(RATE)",
}


def _optimizer(name: str, rate: float) -> Any:
    text = OPTIMIZERS[name]
    kind = getattr(optim, text.partition("(")[0])
    momentum: dict[str, Any] = {"momentum": 0.9} if "momentum" in text else {}
    return kind(rate, **momentum, **({"nesterov": True} if "nesterov" in text else {}))


def recorded(
    sizes: list[int], activation: str, loss: str, optimizer: str, rows: int, l1: float = 0.0, l2: float = 0.0,
    dropout: float = 0.0,
) -> dict[str, Any]:  # fmt: skip
    """Return the step that Python records for a network of the playground; see :func:`pynn.export.web.web_data`."""
    from pynn.regularizers import L1L2

    layers: list[Any] = [nn.Input((sizes[0],))]
    for i, n in enumerate(sizes[1:]):
        hidden = i + 2 < len(sizes)
        act = activation if hidden else LOSSES[loss]
        layers.append(nn.Dense(n, activation=act, kernel_regularizer=L1L2(l1, l2) if l1 or l2 else None))
        if hidden and dropout:
            layers.append(nn.Dropout(dropout))
    model = nn.Sequential(layers)
    model.compile(_optimizer(optimizer, 0.1), loss, seed=1)
    return web_data(model, train=True, batch_size=rows)


def _kernels(step: dict[str, Any], ending: str) -> Iterator[dict[str, Any]]:
    return (one for one in step["programs"]["train"]["instrs"] if one["kernel"].endswith(ending))


@cache
def facts() -> dict[str, Any]:
    """Return what activations, losses and optimizers come to: kernels and settings, as recordings show."""
    made: dict[str, Any] = {"activations": {"linear": []}, "losses": {}, "optimizers": {}}
    for name in ACTIVATIONS:
        step = recorded([2, 3, 1], name, "mean_squared_error", "sgd", 4)
        for one in _kernels(step, f"{name}_fwd"):
            made["activations"][name] = one.get("pars", [])
    for name, output in LOSSES.items():
        step = recorded([2, 3, 1], "tanh", name, "sgd", 4)
        (first,), (back,) = _kernels(step, "_loss_fwd"), _kernels(step, "_loss_bwd")
        made["losses"][name] = {
            "forward": first["kernel"], "backward": back["kernel"], "pars": first.get("pars", []), "output": output,
            "outs": back["outs"],
        }  # fmt: skip
    for name, text in OPTIMIZERS.items():
        [one] = _kernels(recorded([2, 3, 1], "tanh", "mean_squared_error", name, 4), "_step")
        rule = _optimizer(name, 0.1)
        slots = [rule.first(slot) for slot in rule.slot_names()]
        number = rule.first(rule.number_names()[0]) if rule.number_names() else None
        assert [arg is not None for arg in one["args"][1:4]] == [i < len(slots) for i in range(3)]
        made["optimizers"][name] = {
            "kernel": one["kernel"], "slots": len(slots), "first": slots, "number": number, "kind": one["dims"][1],
            "pars": one.get("pars", []), "python": text,
        }  # fmt: skip
    return made


def points(X: Any, y: Any) -> tuple[list[list[float]], bool]:
    """Return rows [x1, x2, target], and whether the targets are numbers rather than two classes.

    Raises
    ------
    DataError
        If X has not two columns, y not one number for each row, or a number is not finite.
    """
    x = np.asarray(to_array(X, "playground"), np.float64)
    targets = np.asarray(y).reshape(-1)
    if x.ndim != 2 or x.shape[1] != 2 or len(x) != len(targets) or len(x) < 4:
        raise DataError(
            f"[playground] expected X of shape [n, 2] and y of shape [n], n at least 4. Received: X.shape={x.shape} "
            f"and y.shape={targets.shape}. help: choose two columns, X[:, [0, 1]]."
        )
    classes = np.unique(targets)
    if len(classes) == 2:
        targets = (targets == classes[1]).astype(np.float64)
    if targets.dtype.kind not in "fiub":
        raise DataError(f"[playground] expected two classes or numbers. Received: {len(classes)} classes.")
    targets = targets.astype(np.float64)
    if not (np.isfinite(x).all() and np.isfinite(targets).all()):
        raise DataError("[playground] expected finite numbers. Received: NaN or infinity among them.")
    rows = np.column_stack([x, targets])
    if len(rows) > MOST_POINTS:
        rows = rows[np.sort(np.random.default_rng(0).choice(len(rows), MOST_POINTS, replace=False))]
    return [[float(f"{v:.6g}") for v in row] for row in rows], len(classes) > 2


class Playground:
    """A page that shows itself in notebooks; :func:`pynn.viz.playground` makes one.

    Parameters
    ----------
    text : str
        HTML.

    Attributes
    ----------
    text : str
        The page, which needs no other file and asks for nothing.
    """

    def __init__(self, text: str):
        self.text = text

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the page into a file; return its name.

        Parameters
        ----------
        path : path-like
        """
        write_whole(path, self.text.encode())
        return os.fspath(path)

    def widget(self, height: int = 900) -> Any:
        """Return the page as a widget: it shows the same in Jupyter, VS Code and marimo, and tells what was done in it.

        Its attributes follow the page of networks: ``settings`` (dict), ``epoch``, ``loss`` (of training), ``script``
        (the Python script that reaches these weights) and ``arrays()``, the weights as ``model.set_weights`` takes
        them. ``observe`` calls a function when one changes.

        Parameters
        ----------
        height : int, default 900
            In pixels.

        Raises
        ------
        ImportError
            If anywidget (extra ``notebook``) is not installed.

        Returns
        -------
        anywidget.AnyWidget
        """
        from pynn.viz.widget import widget

        return widget(self.text, "pynn", height)

    def _repr_html_(self) -> str:
        frame = 'style="width: 100%; height: 900px; border: 0" sandbox="allow-scripts allow-downloads"'
        return f'<iframe {frame} srcdoc="{html.escape(self.text)}"></iframe>'


def playground(X: Any = None, y: Any = None, lang: str = "en") -> Playground:
    """Return a page in which small networks learn, run by pynn's own kernels: in a notebook it shows itself.

    Layers, inputs, data and settings are chosen by the mouse or the keyboard; frontiers of every unit, weights that can
    be edited, curves, histograms, every number of a backward pass, the step as a program, and the Python script that
    reaches the same weights are there to look at.

    Parameters
    ----------
    X : array-like, shape [n, 2], optional
        Points of one's own, beside the sets that the page has. Of more than 2,000, so many are drawn.
    y : array-like, shape [n], optional
        Two classes, or numbers.
    lang : {"en", "es"}, default "en"
        The language that the page begins in.

    Raises
    ------
    DataError
        If X and y are not points with a target each.
    ValueError
        If the language is not known.
    FileNotFoundError
        If this pynn was built without the kernels for pages.

    Returns
    -------
    Playground
        ``save(path)`` writes it into a file, which any browser opens from the disk.

    Examples
    --------
    >>> import pynn
    >>> pynn.viz.playground([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]).save("xor.html")    # doctest: +SKIP
    'xor.html'
    """
    choice("playground", "lang", lang, LANGUAGES)
    own = None
    if X is not None:
        rows, regression = points(X, y)
        own = {"points": rows, "regression": regression}
    bundle = {"version": __version__, "facts": facts(), "own": own, "lang": lang}
    return Playground(playground_page(json.dumps(bundle, ensure_ascii=False, separators=(",", ":"))))


def convolution(lang: str = "en") -> Playground:
    """Return the page of convolution by hand: an image, a kernel, stride and padding, and every sum spelled out.

    Parameters
    ----------
    lang : {"en", "es"}, default "en"

    Raises
    ------
    ValueError
        If the language is not known.
    FileNotFoundError
        If this pynn was built without the kernels for pages.
    """
    choice("convolution", "lang", lang, LANGUAGES)
    models = {}
    for size in (2, 3, 5):
        for stride in (1, 2):
            for padding in ("valid", "same"):
                layer = nn.Conv2D(1, size, strides=stride, padding=padding, use_bias=False)
                models[f"{size} {stride} {padding}"] = web_data(nn.Sequential([nn.Input((8, 8, 1)), layer]))
    return Playground(page("convolution", json.dumps({"models": models, "lang": lang}, separators=(",", ":"))))
