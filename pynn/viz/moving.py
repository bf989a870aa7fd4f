"""Pictures that move: one figure for every few epochs of a training, as a GIF, a WebM or a page with a slider."""

from __future__ import annotations

import base64
import io
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.checks import integer, number, of_kind
from pynn.figure import INK
from pynn.files import write_whole
from pynn.keywords import spelled
from pynn.language import said
from pynn.train.hooks import Callback, Logs
from pynn.viz.embedding import plot_embedding, principal_components
from pynn.viz.filters import plot_feature_maps
from pynn.viz.frontier import plot_frontier
from pynn.viz.weights import plot_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Frames", "Steady", "animate"]

DPI = 90
LAST = 6  # so many times as long stands the last picture
ENDINGS = (".gif", ".webm", ".html")
PAGE = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<style>body{{font-family:sans-serif;margin:1em;max-width:60em}}img{{max-width:100%}}input{{width:80%}}</style>
<img id="i" alt="{title}"><br><button id="b">&#9654;</button> <input id="s" type="range" min="0" max="{last}" value="0">
<output id="o"></output>
<script>const f={frames},n={names};let t=0;const s=document.getElementById("s");
function show(){{document.getElementById("i").src="data:image/png;base64,"+f[s.value];
document.getElementById("o").value=n[s.value]}}
s.oninput=show;document.getElementById("b").onclick=()=>{{if(t){{clearInterval(t);t=0}}else t=setInterval(()=>{{
s.value=(+s.value+1)%f.length;show()}},{wait})}};show()</script>
"""


class Frames(Callback):
    """Draw a figure before a training and after every few epochs of it; ``save`` makes a moving picture of them.

    Parameters
    ----------
    draw : callable
        ``draw(model) -> Figure``, such as a lambda with one of the functions of ``pynn.viz``; always of one size.
    every : int, default 1
        How many epochs lie between two pictures.

    Attributes
    ----------
    pictures : list of ndarray uint8 [H, W, 3]
    names : list of str
        What is written below each: its epoch.
    spent : float
        Seconds of the training that went into drawing.

    Examples
    --------
    >>> frames = Frames(lambda model: pynn.viz.plot_weights(model), every=5)  # model.fit(..., callbacks=[frames])
    """

    def __init__(self, draw: Callable[[Any], Figure], every: int = 1) -> None:
        self.draw = of_kind("Frames", "draw", draw, "a function of a model", "__call__")
        self.every = integer("Frames", "every", every, 1)
        self.pictures: list[np.ndarray] = []
        self.names: list[str] = []
        self.spent = 0.0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Draw the model as it is before its first step."""
        self.pictures, self.names, self.spent = [], [], 0.0
        self._take(0)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Draw it after an epoch."""
        if (epoch + 1) % self.every == 0:
            self._take(epoch + 1)

    def _take(self, epoch: int) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        start = time.perf_counter()
        figure = self.draw(self.model)
        figure.set_dpi(DPI)
        name = f"{said('epoch')} {epoch}"
        figure.text(0.995, 0.005, name, ha="right", va="bottom", fontsize=9, color=INK)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        self.pictures.append(np.array(canvas.buffer_rgba())[..., :3])
        self.names.append(name)
        self.spent += time.perf_counter() - start

    def save(self, path: str | os.PathLike[str], seconds: float = 0.2) -> None:
        """Write the pictures into one file, whole or not at all.

        Parameters
        ----------
        path : path-like
            ``.gif``; ``.html``, a page of its own with a slider and a button; or ``.webm``, which needs ffmpeg.
        seconds : float, default 0.2
            How long each stands; the last stands longer in a GIF.

        Raises
        ------
        ValueError
            If there are no pictures, or for another ending.
        OSError
            If ffmpeg is needed and not there, or the file cannot be written.
        """
        ending = Path(path).suffix.lower()
        if ending not in ENDINGS:
            raise ValueError(f"[Frames] expected a name that ends in {', '.join(ENDINGS)}. Received: {path!r}.")
        if not self.pictures:
            raise ValueError("[Frames] expected pictures. Received: none. help: give it to fit as a callback first.")
        wait = round(1000 * number("Frames", "seconds", seconds, 0, open_low=True))
        height = max(x.shape[0] for x in self.pictures)
        width = max(x.shape[1] for x in self.pictures)
        pages = [_padded(x, height + height % 2, width + width % 2) for x in self.pictures]
        write_whole(Path(path), {".gif": _gif, ".html": self._html, ".webm": _webm}[ending](pages, wait))

    def _html(self, pages: list[np.ndarray], wait: int) -> bytes:
        frames = [base64.b64encode(_png(page)).decode() for page in pages]
        title = said("training")
        values = {"frames": frames, "names": self.names, "last": len(frames) - 1, "wait": wait, "title": title}
        return PAGE.format(**values).encode()


class Steady:
    """Points of a plane for one picture after another, turned so that they move as little as possible.

    The principal components ``P`` of vectors as ``P R``, where the rotation or reflection ``R`` brings them nearest to
    the points before: ``R = U V^T`` of the singular values ``U S V^T = P^T before`` (orthogonal Procrustes).

    Examples
    --------
    >>> steady, x = Steady(), np.eye(4)
    >>> before = steady(x)
    >>> bool(np.allclose(steady(x[:, ::-1]), before, atol=1.0)), before.shape
    (True, (4, 2))
    """

    def __init__(self) -> None:
        self._before: np.ndarray | None = None

    def __call__(self, x: Any) -> np.ndarray:
        """Return points [N, 2] for vectors [N, D]; the rows are those of the call before."""
        points = principal_components(x)
        if self._before is not None and points.shape == self._before.shape:
            u, _, v = np.linalg.svd(points.T @ self._before)
            points = points @ (u @ v)
        self._before = points
        return points


def _padded(x: np.ndarray, height: int, width: int) -> np.ndarray:
    page = np.full((height, width, 3), 255, np.uint8)
    page[: x.shape[0], : x.shape[1]] = x
    return page


def _png(page: np.ndarray) -> bytes:
    from pynn.train.events import png

    return png(page)


def _gif(pages: list[np.ndarray], wait: int) -> bytes:
    from PIL import Image  # without which there is no matplotlib

    first = Image.fromarray(np.concatenate([pages[0], pages[-1]])).quantize(255, dither=Image.Dither.NONE)
    frames = [Image.fromarray(page).quantize(palette=first, dither=Image.Dither.NONE) for page in pages]
    file = io.BytesIO()
    durations = [wait] * (len(frames) - 1) + [LAST * wait]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return file.getvalue()


def _webm(pages: list[np.ndarray], wait: int) -> bytes:
    if shutil.which("ffmpeg") is None:
        raise OSError("[Frames] a WebM needs ffmpeg, which is not there. help: end the name in .gif or .html.")
    size = f"{pages[0].shape[1]}x{pages[0].shape[0]}"
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", f"{1000 / wait:.4g}", "-i", "-"]
    made = subprocess.run(
        ["ffmpeg", "-loglevel", "error", *given, "-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p", "-f", "webm", "-"],
        input=b"".join(page.tobytes() for page in pages), capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise OSError(f"[Frames] ffmpeg: {made.stderr.decode(errors='replace').strip()[:300]}")
    return made.stdout


@spelled
def animate(
    model: Any,
    x: Any,
    y: Any,
    path: str | os.PathLike[str],
    *,
    draw: Callable[[Any], Figure] | str = "frontier",
    every: int = 1,
    epochs: int = 20,
    batch_size: int = 32,
    seconds: float = 0.2,
) -> Any:
    """Train a compiled model and write a picture that moves with it.

    Parameters
    ----------
    model : Module
        Compiled.
    x : array_like
        What it learns from.
    y : array_like
        Targets.
    path : path-like
        File to write: ``.gif``, ``.html`` with a slider, or ``.webm``.
    draw : callable, or {"frontier", "weights", "maps", "embedding"}, default "frontier"
        What is drawn of the model: ``draw(model) -> Figure``, or the frontier between the classes of points of two
        numbers, all weights, the feature maps of the first image, what the last but one layer makes of the inputs.
    every : int, default 1
        How many epochs lie between two pictures.
    epochs : int, default 20
        Passes over the data.
    batch_size : int, default 32
        Samples in a batch.
    seconds : float, default 0.2
        How long each picture stands.

    Returns
    -------
    History
        Of the training.

    Raises
    ------
    ValueError
        For another ending of the name, or another word for `draw`.
    ImportError
        If matplotlib (extra ``plot``) is not installed.

    Examples
    --------
    >>> import pynn
    >>> x, y = pynn.datasets.moons(100, seed=0)
    >>> model = pynn.nn.Sequential([pynn.nn.Input((2,)), pynn.nn.Dense(8, "tanh"), pynn.nn.Dense(1, "sigmoid")])
    >>> model.compile("adam", "binary_cross_entropy", seed=0)
    >>> animate(model, x, y, "moons.gif", every=5)  # doctest: +SKIP
    """
    if Path(path).suffix.lower() not in ENDINGS:
        raise ValueError(f"[animate] expected a name that ends in {', '.join(ENDINGS)}. Received: {path!r}.")
    if isinstance(draw, str):
        steady = Steady()
        drawings: dict[str, Callable[[Any], Figure]] = {
            "frontier": lambda model: plot_frontier(model, x, y),
            "weights": plot_weights,
            "maps": lambda model: plot_feature_maps(model, np.asarray(x)[0]),
            "embedding": lambda model: plot_embedding(
                steady(_before_last(model, np.asarray(x)[:500])), np.asarray(y)[:500]
            ),
        }
        if draw not in drawings:
            raise ValueError(
                f"[animate] expected draw to be a function or one of {', '.join(drawings)}. Received: {draw!r}."
            )
        draw = drawings[draw]
    frames = Frames(draw, every)
    history = model.fit(x, y, epochs=epochs, batch_size=batch_size, callbacks=[frames], verbose=0)
    frames.save(path, seconds)
    return history


def _before_last(model: Any, x: np.ndarray) -> np.ndarray:
    """Return what the last but one layer makes of inputs, as rows."""
    from pynn.core.state import no_grad

    out: Any = x
    with no_grad():
        for layer in model.layers[:-1]:
            out = layer(out, training=False)
    return np.asarray(out.numpy() if hasattr(out, "numpy") else out).reshape(len(x), -1)
