"""Features of speech: spectrograms, mel filter banks, MFCCs, and what of them a network is fed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pynn.checks import integer, number, reals
from pynn.errors import DataError, ShapeError, unknown_name

__all__ = ["Features", "log_mel", "mfcc", "spectrogram"]

WINDOW, STEP = 0.025, 0.010  # seconds, as speech recognition cuts them
FLOOR = 1e-10
INT16 = 32768.0  # kaldi's scale of samples


def spectrogram(x: Any, rate: int) -> np.ndarray:
    """Return the power of each frequency over time, in decibels: ``10 log10 |FFT(w x)|^2``.

    Parameters
    ----------
    x : array_like [n]
        Samples.
    rate : int
        Samples per second.

    Returns
    -------
    ndarray [frames, bins]
        float32; a frame of 25 ms (Hann window) every 10 ms, in bins from 0 to half the rate. The whole is at most
        0 dB for a sound between -1 and 1.

    Raises
    ------
    ShapeError
        If `x` is not one channel with at least one sample.
    """
    samples = _samples("spectrogram", x)
    number("spectrogram", "rate", rate, 100)  # a frame has several samples
    length, step = round(WINDOW * rate), round(STEP * rate)
    count = max(1, round(len(samples) / step))
    padded = np.pad(samples, (length // 2, length))
    frames = np.lib.stride_tricks.sliding_window_view(padded, length)[: count * step : step]
    window = np.hanning(length + 2)[1:-1]
    size = 1 << (length - 1).bit_length()
    power = np.abs(np.fft.rfft(frames * window, size, axis=1) / window.sum()) ** 2
    return (10 * np.log10(np.maximum(power, FLOOR))).astype(np.float32)


def log_mel(x: Any, rate: int, bands: int = 32) -> np.ndarray:
    """Return the logarithm of the energy in bands that are as wide as the ear's: ``log sum_k H_mk |X_k|^2``.

    Parameters
    ----------
    x : array_like [n]
        Samples from -1 to 1.
    rate : int
        Samples per second.
    bands : int, default 32
        Triangular filters, evenly spaced on the mel scale.

    Returns
    -------
    ndarray [frames, bands]
        float32; a frame of 25 ms every 10 ms.

    Raises
    ------
    ImportError
        If kaldi-native-fbank (extra ``audio``) is not installed.
    ShapeError, ValueError
        If `x` is not one channel with at least one sample, or a number is out of range.
    """
    samples = _samples("log_mel", x)
    kaldi = _kaldi()
    options = _options("log_mel", kaldi.FbankOptions(), rate, bands)
    options.energy_floor = 0.0
    return _frames(kaldi.OnlineFbank(options), samples, rate)


def mfcc(x: Any, rate: int, count: int = 20, bands: int = 32) -> np.ndarray:
    """Return mel-frequency cepstral coefficients: the cosine transform of the logarithms of mel bands.

    ``c_i = sum_m cos(pi i (m + 1/2) / bands) log(energy of band m)``, liftered: the first coefficients describe the
    shape of the mouth, the later ones (the pitch of the voice) are left out.

    Parameters
    ----------
    x : array_like [n]
        Samples from -1 to 1.
    rate : int
        Samples per second.
    count : int, default 20
        Coefficients, at most `bands`; the first is the loudness.
    bands : int, default 32

    Returns
    -------
    ndarray [frames, count]
        float32; a frame of 25 ms every 10 ms.

    Raises
    ------
    ImportError, ShapeError, ValueError
        As :func:`log_mel`.

    References
    ----------
    S. Davis and P. Mermelstein, "Comparison of parametric representations for monosyllabic word recognition in
    continuously spoken sentences", IEEE Transactions on Acoustics, Speech, and Signal Processing 28 (4), 1980.
    """
    samples = _samples("mfcc", x)
    if not 1 <= count <= bands:
        raise ValueError(f"[mfcc] expected a count from 1 to bands ({bands}). Received: {count!r}.")
    kaldi = _kaldi()
    options = _options("mfcc", kaldi.MfccOptions(), rate, bands)
    options.num_ceps, options.use_energy = count, False
    return _frames(kaldi.OnlineMfcc(options), samples, rate)


@dataclass(frozen=True)
class Features:
    """What a network is fed of a recording; it is called on recordings and returns an array.

    ======================  =================  ==============================================================
    kind                    one recording      what it is
    ======================  =================  ==============================================================
    ``"samples"``           [length]           the samples themselves, cut or filled up with silence
    ``"mfcc_statistics"``   [4, count]         means and deviations over time, of MFCCs and of their slopes
    ``"mfcc"``              [length, count]    MFCC frames, each coefficient of mean 0 and deviation 1 in the
                                               recording; cut or filled up with zeros
    ======================  =================  ==============================================================

    Parameters
    ----------
    kind : str
        See above.
    length : int, default 64
        Samples or frames; "mfcc_statistics" takes all of a recording.
    rate : int, default 8000
        Samples per second of the recordings.
    count : int, default 20
        Coefficients.

    Raises
    ------
    ValueError
        If a name is not known, or a number is out of range.

    Examples
    --------
    >>> naive = Features("samples", length=4)
    >>> naive([np.array([0.5, -0.5]), np.ones(9)])
    array([[ 0.5, -0.5,  0. ,  0. ],
           [ 1. ,  1. ,  1. ,  1. ]], dtype=float32)
    >>> Features.from_config(naive.get_config()) == naive
    True
    """

    kind: str
    length: int = 64
    rate: int = 8000
    count: int = 20

    def __post_init__(self) -> None:
        if self.kind not in ("samples", "mfcc_statistics", "mfcc"):
            raise ValueError(f"[features] {unknown_name('kind', self.kind, ('samples', 'mfcc_statistics', 'mfcc'))}")
        for name, low, high in (("length", 1, 10**7), ("rate", 1000, 768_000), ("count", 1, 32)):
            integer("features", name, getattr(self, name), low, high)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one recording's features."""
        return {"samples": (self.length,), "mfcc_statistics": (4, self.count), "mfcc": (self.length, self.count)}[
            self.kind
        ]

    def __call__(self, recordings: Sequence[np.ndarray]) -> np.ndarray:
        """Return the features [n, *shape] of recordings, arrays of samples at `rate`."""
        x = np.zeros((len(recordings), *self.shape), np.float32)
        for row, samples in zip(x, recordings, strict=True):
            if self.kind == "mfcc_statistics":
                row[:] = _statistics(mfcc(samples, self.rate, self.count))
                continue
            found = samples if self.kind == "samples" else _normalized(mfcc(samples, self.rate, self.count))
            row[: len(found)] = found[: self.length]
        return x

    def get_config(self) -> dict[str, Any]:
        """Return the settings as JSON values, for the metadata of a model file."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: Any) -> Features:
        """Return the features of settings that :meth:`get_config` returned.

        Raises
        ------
        DataError
            If they are something else.
        """
        names = set(cls.__dataclass_fields__)
        if not isinstance(config, Mapping) or not {"kind"} <= set(config) <= names:
            raise DataError(f"[features] expected the settings {sorted(names)}. Received: {config!r:.80}.")
        try:
            return cls(**config)
        except (ValueError, TypeError) as error:
            raise DataError(str(error)) from None


def _statistics(frames: np.ndarray) -> np.ndarray:
    slopes = np.gradient(frames, axis=0) if len(frames) > 1 else np.zeros_like(frames)
    return np.stack([frames.mean(axis=0), frames.std(axis=0), slopes.mean(axis=0), slopes.std(axis=0)])


def _normalized(frames: np.ndarray) -> np.ndarray:
    return (frames - frames.mean(axis=0)) / (frames.std(axis=0) + 1e-3)


def _samples(place: str, x: Any) -> np.ndarray:
    samples = reals(place, "samples", x, np.float32)
    if samples.ndim != 1 or not len(samples):
        raise ShapeError(f"[{place}] expected samples [n], at least one. Received: shape {samples.shape}.")
    if not np.isfinite(samples).all():
        raise DataError(f"[{place}] expected finite samples.")
    return samples


def _kaldi() -> Any:
    try:
        import kaldi_native_fbank
    except ImportError as error:
        raise ImportError('[audio] MFCCs need kaldi-native-fbank. help: pip install "pynn-dl[audio]"') from error
    return kaldi_native_fbank


def _options(place: str, options: Any, rate: int, bands: int) -> Any:
    if not 1000 <= rate <= 768_000:
        raise ValueError(f"[{place}] expected a rate from 1,000 to 768,000 Hz. Received: {rate!r}.")
    if not 4 <= bands <= 128:
        raise ValueError(f"[{place}] expected 4 to 128 bands. Received: {bands!r}.")
    options.frame_opts.samp_freq = rate
    options.frame_opts.frame_length_ms, options.frame_opts.frame_shift_ms = 1000 * WINDOW, 1000 * STEP
    options.frame_opts.dither = 0.0  # no noise is added: the same file gives the same numbers
    options.frame_opts.snip_edges = False  # a frame every 10 ms up to the end
    options.mel_opts.num_bins = bands
    return options


def _frames(extractor: Any, samples: np.ndarray, rate: int) -> np.ndarray:
    short = round(WINDOW * rate) - len(samples)
    extractor.accept_waveform(rate, (np.pad(samples, (0, max(0, short))) * INT16).tolist())
    extractor.input_finished()
    return np.stack([extractor.get_frame(i) for i in range(extractor.num_frames_ready)]).astype(np.float32)
