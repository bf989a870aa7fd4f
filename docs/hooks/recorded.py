"""Pictures of recipes that take long, drawn from what a recorded run found: docs/results/NAME.json.

Curves have the words of the recipe's own pictures, which pynn.viz knows in Spanish; bars have words of their own.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pynn import viz
from pynn.datasets import CIFAR10_LABELS
from pynn.figure import COLORS, finish, new_figure, tidy
from pynn.language import said
from pynn.recipes import kmeans, memory, two_stages

__all__ = ["PICTURES", "WRITTEN", "draw"]

TRAINED = ("fashion-cnn", "mnist-best", "kaggle-digits", "cifar-cnn", "imdb-lstm", "imdb-best", "big-mlp")
RESULTS = Path(__file__).resolve().parents[1] / "results"
Draw = Callable[[dict[str, Any], Path], Any]
SPANISH = {
    "learned": "aprendidas", "pixel": "pixeles", "all together": "todas juntas",
    "Best unit of each class (AUC; 0.5 is chance)": "La mejor unidad de cada clase (AUC; 0.5 es azar)",
    "Analogies answered, %": "Analogías contestadas, %",
    "Voices that were not learnt from, accuracy, %": "Voces de las que no aprendió, exactitud, %",
    "Wrong with few labels, %": "Errores con pocas etiquetas, %", "accuracy, %": "exactitud, %",
    "C, the inverse of the penalty": "C, el inverso de la penalización", "1,600 features": "1,600 características",
    "Photographs held out": "Fotografías apartadas", "inception": "módulos de Inception", "plain": "red simple",
    "with": "con normalización", "without": "sin normalización",
    "airplane": "avión", "automobile": "coche", "bird": "pájaro", "cat": "gato", "deer": "ciervo", "dog": "perro",
    "frog": "rana", "horse": "caballo", "ship": "barco", "truck": "camión",
}  # fmt: skip


def draw(name: str, folder: Path) -> None:
    """Draw the pictures of a recipe into a folder, which is made, in the language of pynn.viz."""
    details = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["details"]
    folder.mkdir(parents=True)
    for file, make in PICTURES[name].items():
        make(details, folder / file)


def _memory(details: dict[str, Any], path: Path) -> Any:
    return memory.plot_errors({"SimpleRNN": details["simple_rnn"]["curve"], "LSTM": details["lstm"]["curve"]}, path)


def _shifts(details: dict[str, Any], path: Path) -> Any:
    curves = {name: (details["moves"], values) for name, values in details["shifted"].items()}
    return viz.plot_curves({"Test images moved": curves}, path, x="pixels", y="accuracy", dots=True)


def _pretraining(details: dict[str, Any], path: Path) -> Any:
    panels = {
        f"{int(labels):,} labels": {
            name: (range(len(details[name][labels]["all"])), [100 * value for value in details[name][labels]["all"]])
            for name in ("pre-trained", "random")
        }
        for labels in details["random"]
    }
    return viz.plot_curves(panels, path, x="seed", y="test accuracy, %", dots=True)


def _times(details: dict[str, Any], path: Path) -> Any:
    curves = {name: (details["lengths"], times) for name, times in details["microseconds"].items()}
    panel = {"forward and backward, 16 images of 12 x 12": curves}
    words = {"x": "terms of an inner product", "y": "microseconds"}
    return viz.plot_curves(panel, path, **words, dots=True, log_x=True, log_y=True)


def _moved(details: dict[str, Any], path: Path) -> Any:
    curve = ([float(time) for time in details["moved"]], [100 * value for value in details["moved"].values()])
    panel = {"Recordings it has learnt, heard a moment later": {"MLP on samples": curve}}
    return viz.plot_curves(panel, path, x="milliseconds", y="training accuracy, %")


def _speakers(details: dict[str, Any], path: Path) -> Any:
    found = details["leave_one_speaker_out"]["speakers"]
    values = {name: 100 * value for name, value in found.items()}
    return _bars({"": values}, "Voices that were not learnt from, accuracy, %", path)


def _analogies(details: dict[str, Any], path: Path) -> Any:
    found = {name: 100 * right / asked for name, (right, asked) in details["sections"].items()}
    found["all together"] = found.pop("Total accuracy")
    values = {name: found[name] for name in sorted(found, key=lambda name: -found[name])}
    return _bars({"": values}, "Analogies answered, %", path)


def _units(details: dict[str, Any], path: Path) -> Any:
    found = {
        kind: {label: unit["auc"] for label, unit in zip(CIFAR10_LABELS, units, strict=True)}
        for kind, units in details["units"].items()
    }
    return _bars(found, "Best unit of each class (AUC; 0.5 is chance)", path, start=0.5)


def _few(details: dict[str, Any], path: Path) -> Any:
    found = {
        kind: {f"{labels} labels": 100 * value for labels, value in by.items()}
        for kind, by in details["few_labels"].items()
    }
    return _bars(found, "Wrong with few labels, %", path)


def _said(text: str) -> str:
    return text if viz.language() == "en" else said(SPANISH.get(text, text))


def _bars(groups: Mapping[str, Mapping[str, float]], title: str, path: Path, start: float = 0.0) -> Any:
    """Draw a bar for each name of each group, names from top to bottom, with its value at its end."""
    names = list(next(iter(groups.values())))
    figure = new_figure(6.4, 0.9 + len(names) * (0.3 if len(groups) == 1 else 0.22 * len(groups)))
    ax, height = figure.add_subplot(), 0.8 / len(groups)
    for i, (group, values) in enumerate(groups.items()):
        places = [k + height * (i - (len(groups) - 1) / 2) for k in range(len(names))]
        bars = ax.barh(
            places, [v - start for v in values.values()], 0.9 * height, start, label=_said(group), color=COLORS[i]
        )
        digits = 0 if max(values.values()) > 2 else 2
        ax.bar_label(bars, [f"{value:.{digits}f}" for value in values.values()], padding=3, fontsize=9)
    ax.set_yticks(range(len(names)), [_said(name) for name in names])
    ax.invert_yaxis()
    ax.margins(x=0.1 if len(groups) == 1 else 0.3)  # the legend stands beside the bars
    ax.set_title(_said(title), loc="left", fontweight="bold", fontsize=11)
    tidy(ax)
    ax.grid(visible=False, axis="y")
    if len(groups) > 1:
        ax.legend(loc="upper right", frameon=False, fontsize=9)
    return finish(figure, path)


def _curves(details: dict[str, Any], path: Path) -> Any:
    return viz.plot_history(details["curves"], path)


def _held_out(details: dict[str, Any], path: Path) -> Any:
    curves = {_said(name): [100 * value for value in values] for name, values in details["curves"].items()}
    return viz.plot_curves({_said("Photographs held out"): curves}, path, y=_said("accuracy, %"))


def _parts(details: dict[str, Any], path: Path) -> Any:
    cells = {}
    for name, value in details["held out"].items():
        *kind, tuned = name.split(" / ")
        cells[(*kind, tuned == "tuned")] = value
    return two_stages.draw_cells(cells, path)


def _penalties(details: dict[str, Any], path: Path) -> Any:
    curve = ([float(c) for c in details["held out"]], [100 * value for value in details["held out"].values()])
    words = {"x": _said("C, the inverse of the penalty"), "y": _said("accuracy, %")}
    panel = {_said("Photographs held out"): {_said(f"{details['features']:,} features"): curve}}
    return viz.plot_curves(panel, path, **words, dots=True, log_x=True)


def _neighbours(details: dict[str, Any]) -> str:
    """Return the words that stand nearest to some, with their cosines."""
    near = {
        word: ", ".join(f"{other} {cosine:.2f}" for other, cosine in found)
        for word, found in details["examples"].items()
    }
    return "\n".join(f"{word:{max(map(len, near)) + 2}}{others}" for word, others in near.items())


def _poem(details: dict[str, Any]) -> str:
    """Return what the network wrote at temperature 0.5: its first lines, whole."""
    lines = [line for text in details["samples"]["0.5"].split("\n")[:-1] for line in textwrap.wrap(text, 80) or [""]]
    return "\n".join(lines[:12]).rstrip()


#: Recipe -> file -> what draws it from the details of the result.
PICTURES: dict[str, dict[str, Draw]] = {
    "lstm-memory": {"memory.png": _memory},
    "neocognitron": {"shift.png": _shifts},
    "pretraining": {"pretraining.png": _pretraining},
    "unrolled-convolution": {"times.png": _times},
    "audio-mlp-1": {"moved.png": _moved, "speakers.png": _speakers},
    "audio-mlp-2": {"speakers.png": _speakers},
    "audio-cnn": {"speakers.png": _speakers},
    "word2vec": {"analogies.png": _analogies},
    "cat-neuron": {"units.png": _units},
    "dbm": {"labels.png": _few},
    **{name: {"history.png": _curves} for name in TRAINED},
    "kmeans-features": {"penalty.png": _penalties},
    "inception-cifar": {"held-out.png": _held_out},
    "lrn-cifar": {"held-out.png": _held_out},
    "two-stages": {"parts.png": _parts},
    "cots": {"blocks.png": lambda details, path: kmeans.draw_blocks(details["weights per second"], path)},
}
#: Recipe -> what gives the text that it wrote.
WRITTEN: dict[str, Callable[[dict[str, Any]], str]] = {"char-rnn": _poem, "localist-distributed": _neighbours}
