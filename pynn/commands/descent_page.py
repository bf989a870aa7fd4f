"""The page of optimizers on Beale's valley: their ways, side by side, from wherever one clicks."""

from __future__ import annotations

import json
from typing import Any

from pynn import nn, optim
from pynn._version import __version__
from pynn.checks import choice
from pynn.core.tensor import Tensor
from pynn.export.web import web_data
from pynn.io.registry import forgotten, register
from pynn.recipes.descents import RATES, SURFACES, beale
from pynn.viz.playground import LANGUAGES, Playground
from pynn.web import page

__all__ = ["SHOWN", "Valley", "descent", "recorded"]

SHOWN = ("sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam")
START, BOUNDS, MINIMUM = SURFACES["beale"][1], SURFACES["beale"][3], SURFACES["beale"][4]


class Valley(nn.Module):
    """A model whose output is the height of Beale's function at its two weights, whatever comes in."""

    place: Tensor

    def __init__(self, name: str | None = None):
        super().__init__(name=name)
        self.add_weight("place", (2,), "zeros")

    def forward(self, x: Any) -> Any:
        """Return the height [1, 1]."""
        place = self.place
        return beale(place[:1], place[1:]).reshape((1, 1))


def recorded(name: str) -> tuple[Valley, dict[str, Any]]:
    """Return the model, compiled with an optimizer of a name, and its recorded step; see ``pynn.export.web.web_data``.

    Its loss is the distance of the height from 0, which is the height.
    """
    rule = optim.get(name)
    rule.learning_rate = RATES[name][0]
    model = Valley()
    model.build((1, 1))
    model.compile(rule, "mean_absolute_error", seed=0)
    with forgotten(["Valley"]):  # web_data reads a copy
        register(Valley)
        return model, web_data(model, True, input_shape=(1,), batch_size=1)


def descent(lang: str = "en") -> Playground:
    """Return the page of optimizers on Beale's valley.

    Parameters
    ----------
    lang : {"en", "es"}, default "en"

    Raises
    ------
    ValueError
        If the language is not known.
    FileNotFoundError
        If this pynn was built without the kernels for pages.

    Returns
    -------
    Playground
    """
    choice("descent", "lang", lang, LANGUAGES)
    bundle = {
        "version": __version__, "lang": lang, "models": {name: recorded(name)[1] for name in SHOWN},
        "start": START, "bounds": BOUNDS, "minimum": MINIMUM,
    }  # fmt: skip
    return Playground(page("descent", json.dumps(bundle, separators=(",", ":"))))
