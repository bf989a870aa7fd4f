"""Sounds on paper: the wave, its spectrogram, and the coefficients that speech recognition makes of it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.checks import of_kind, reals
from pynn.figure import COLORS, GREY, INK, finish, new_figure, tidy
from pynn.keywords import spelled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_sound", "plot_sounds"]

RANGE_DB = 70.0  # below the loudest, what is drawn darkest


@spelled
def plot_sound(x: Any, rate: int, path: str | os.PathLike[str] | None = None, title: str | None = None) -> Figure:
    """Draw one recording three times over the same time: its wave, its spectrogram, its MFCCs.

    Parameters
    ----------
    x : array_like [n]
        Samples from -1 to 1.
    rate : int
        Samples per second.
    path : path-like, optional
        File to write.
    title : str, optional
        Heading. Default: none.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ShapeError
        If `x` is not one channel with at least one sample.
    ImportError
        If matplotlib (extra ``plot``) or kaldi-native-fbank (extra ``audio``) is not installed.

    Examples
    --------
    >>> figure = plot_sound(np.sin(np.arange(4000) * 0.3), 8000)  # doctest: +SKIP
    """
    from pynn.audio import mfcc, spectrogram

    samples = np.asarray(x, np.float32)
    power, coefficients = spectrogram(samples, rate), mfcc(samples, rate)
    seconds = len(samples) / rate
    figure = new_figure(7.0, 6.6)
    wave, high, low = figure.subplots(3, 1, sharex=True, height_ratios=(1, 1.6, 1.6))
    wave.plot(np.arange(len(samples)) / rate, samples, color=COLORS[0], linewidth=0.6)
    wave.set_ylabel("sample")
    tidy(wave)
    wave.set_title(f"the wave: {len(samples):,} samples, {rate:,} a second", loc="left", fontsize=9, color=INK)
    image = _spectrogram(high, power, seconds, rate)
    high.set_ylabel("frequency, kHz")
    high.set_title("spectrogram: the power of each frequency over time", loc="left", fontsize=9, color=INK)
    figure.colorbar(image, ax=high, label="dB below the loudest", pad=0.01)
    image = _mfcc(low, coefficients, seconds)
    low.set_ylabel("coefficient")
    low.set_xlabel("seconds")
    text = f"MFCCs: {coefficients.shape[1]} numbers every 10 ms, each scaled to deviation 1"
    low.set_title(text, loc="left", fontsize=9, color=INK)
    figure.colorbar(image, ax=low, label="deviations from the mean", pad=0.01)
    if title:
        figure.suptitle(title, fontweight="bold", fontsize=11, color=INK)
    return finish(figure, path)


@spelled
def plot_sounds(
    recordings: Mapping[str, Any],
    rate: int,
    path: str | os.PathLike[str] | None = None,
    *,
    kind: str = "spectrogram",
    title: str | None = None,
    columns: int = 5,
) -> Figure:
    """Draw many recordings beside each other, on one scale of time.

    Parameters
    ----------
    recordings : dict of str to array_like [n]
        Samples from -1 to 1 by name.
    rate : int
        Samples per second.
    path : path-like, optional
        File to write.
    kind : {"spectrogram", "mfcc", "wave"}, default "spectrogram"
    title : str, optional
        Heading. Default: none.
    columns : int, default 5
        Recordings in a row.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If there is no recording, or the kind is not known.
    ImportError
        If matplotlib (extra ``plot``) or, for "mfcc", kaldi-native-fbank (extra ``audio``) is not installed.

    Examples
    --------
    >>> figure = plot_sounds({"low": np.sin(np.arange(4000) * 0.1), "high": np.sin(np.arange(4000) * 0.9)}, 8000)
    """
    from pynn.audio import mfcc, spectrogram

    if not of_kind("plot_sounds", "recordings", recordings, "a dict of samples", "values", "items"):
        raise ValueError("[plot_sounds] expected at least one recording. Received: none.")
    if kind not in ("spectrogram", "mfcc", "wave"):
        raise ValueError(f"[plot_sounds] expected kind 'spectrogram', 'mfcc' or 'wave'. Received: {kind!r}.")
    across = min(columns, len(recordings))
    down = math.ceil(len(recordings) / across)
    longest = max(len(x) for x in recordings.values()) / rate
    loudest = max(max(float(np.abs(x).max()) for x in recordings.values()), 1e-6)
    figure = new_figure(2.0 * across + 0.5, 1.75 * down + 0.6)
    for i, (name, x) in enumerate(recordings.items()):
        ax = figure.add_subplot(down, across, i + 1)
        samples = reals("plot_sounds", "samples", x, np.float32)
        seconds = len(samples) / rate
        if kind == "wave":
            ax.plot(np.arange(len(samples)) / rate, samples, color=COLORS[0], linewidth=0.5)
            ax.set_ylim(-1.05 * loudest, 1.05 * loudest)
        elif kind == "mfcc":
            _mfcc(ax, mfcc(samples, rate), seconds)
        else:
            _spectrogram(ax, spectrogram(samples, rate), seconds, rate)
        ax.set_xlim(0, longest)
        ax.set_title(name, fontsize=9, color=INK, pad=3)
        ax.tick_params(labelsize=8, colors=INK, width=0.6)
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(GREY)
        if i % across:
            ax.set_yticklabels([])
        elif kind != "wave":
            ax.set_ylabel("kHz" if kind == "spectrogram" else "coefficient", fontsize=8)
        if i + across < len(recordings):
            ax.set_xticklabels([])
        else:
            ax.set_xlabel("seconds", fontsize=8)
    if title:
        figure.suptitle(title, fontweight="bold", fontsize=11, color=INK)
    return finish(figure, path)


def _spectrogram(ax: Axes, power: np.ndarray, seconds: float, rate: int) -> Any:
    shown = power.T - power.max()
    extent = (0.0, seconds, 0.0, rate / 2000)
    return ax.imshow(shown, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=-RANGE_DB, vmax=0)


def _mfcc(ax: Axes, coefficients: np.ndarray, seconds: float) -> Any:
    scaled = (coefficients - coefficients.mean(axis=0)) / (coefficients.std(axis=0) + 1e-3)
    extent = (0.0, seconds, -0.5, coefficients.shape[1] - 0.5)
    return ax.imshow(scaled.T, origin="lower", aspect="auto", extent=extent, cmap="RdBu_r", vmin=-2.5, vmax=2.5)
