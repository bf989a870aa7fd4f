"""Named experiments that run as they stand, on real data, with the result they should reach.

>>> from pynn import recipes
>>> [recipe.name for recipe in recipes.known()][:3]
['digits', 'perceptron', 'adaline']
>>> result = recipes.find("digits").run(recipes.Options(epochs=1, quiet=True))  # doctest: +ELLIPSIS
digits: ...
"""

from __future__ import annotations

import importlib

from pynn.recipes.registry import Measure, Options, Recipe, Result, find, known, recipe

__all__ = ["Measure", "Options", "Recipe", "Result", "find", "known", "recipe"]

# A recipe registers itself when its module is imported; the order is that of `known()`.
_MODULES = (
    "digits", "neuron", "rosenblatt", "misadjustment", "xor", "linear", "robust", "regions", "learning", "descents",
    "mnist", "filters", "images", "cifar", "neocognitron", "invariance", "insight", "topologies",
    "memory", "reviews", "characters", "vectors", "kmeans", "two_stages", "cat_neuron",
    "autoencoders", "pretraining", "sound", "connections",
    "unrolling", "big_mlp", "lrn", "inception",
    "boltzmann",
)  # fmt: skip
for _module in _MODULES:
    importlib.import_module(f"{__name__}.{_module}")
