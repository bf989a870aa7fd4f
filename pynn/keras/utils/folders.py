"""Data sets of folders whose folders are the classes, and of windows of a series."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pynn.checks import choice
from pynn.errors import DataError
from pynn.keras.preprocessing.pictures import SUFFIXES, img_to_array, load_img

__all__ = ["image_dataset_from_directory", "text_dataset_from_directory", "timeseries_dataset_from_array"]

LABEL_MODES = ("int", "binary", "categorical")


def _indexed(directory, suffixes, labels, names, shuffle, seed, split, subset):
    """Return paths, classes, and the names of the classes, of the part that is asked for."""
    folder = Path(directory)
    if not folder.is_dir():
        raise DataError(f"[dataset_from_directory] expected a folder. Received: {str(directory)!r}.")
    if (split is None) != (subset is None):
        raise ValueError("[dataset_from_directory] expected validation_split and subset together.")
    if split is not None and shuffle and seed is None:
        raise ValueError(
            "[dataset_from_directory] expected a seed: without one the parts of two calls overlap. help: seed=0, or "
            "shuffle=False."
        )
    paths = []
    classes = []
    if labels == "inferred":
        known = list(names) if names else sorted(p.name for p in folder.iterdir() if p.is_dir())
        for i, name in enumerate(known):
            inside = sorted(p for p in (folder / name).rglob("*") if p.suffix.lower() in suffixes)
            paths += inside
            classes += [i] * len(inside)
    else:
        known = []
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes)
        classes = [0] * len(paths) if labels is None else list(labels)
        if len(classes) != len(paths):
            raise DataError(f"[dataset_from_directory] expected {len(paths)} labels. Received: {len(classes)}.")
    if not paths:
        raise DataError(
            f"[dataset_from_directory] expected files {', '.join(suffixes)} below {folder}. Received: none."
        )
    rows = np.arange(len(paths))
    if shuffle:
        rows = np.random.default_rng(seed).permutation(len(paths))
    said = f"Found {len(paths)} files" + (f" belonging to {len(known)} classes" if known else "") + "."
    print(said)
    if split is not None:
        choice("dataset_from_directory", "subset", subset, ("training", "validation", "both"))
        held = int(split * len(rows))
        rows = rows[-held:] if subset == "validation" else rows[:-held] if held else rows
        print(f"Using {len(rows)} files for {subset}.")
    return [paths[i] for i in rows], np.array(classes, np.int32)[rows], known


def _dataset(read, paths, y, mode, names, batch, shuffle, seed):
    from pynn.keras.tensorflow.data import Dataset, _generator

    count = len(names) or (int(y.max()) + 1 if len(y) else 0)
    if mode == "binary":
        if count != 2:
            raise ValueError(f"[dataset_from_directory] label_mode='binary' expects two classes. Received: {count}.")
        targets = y.astype(np.float32)[:, None]
    else:
        targets = np.eye(count, dtype=np.float32)[y] if mode == "categorical" else y

    def walk():
        order = _generator(seed).permutation(len(paths)) if shuffle else np.arange(len(paths))
        for i in order:
            yield read(paths[i]) if mode is None else (read(paths[i]), targets[i])

    made = Dataset(walk, len(paths))
    made = made if batch is None else made.batch(batch)
    made.class_names, made.file_paths = names, list(map(str, paths))
    return made


def image_dataset_from_directory(directory, labels="inferred", label_mode: str | None = "int", class_names=None,
                                 color_mode: str = "rgb", batch_size: int | None = 32, image_size=(256, 256),
                                 shuffle: bool = True, seed: int | None = None, validation_split: float | None = None,
                                 subset: str | None = None, interpolation: str = "bilinear", follow_links: bool = False,
                                 crop_to_aspect_ratio: bool = False, pad_to_aspect_ratio: bool = False,
                                 data_format: str | None = None, verbose: bool = True):  # fmt: skip
    """Return a data set of (images, labels); needs Pillow.

    Parameters
    ----------
    directory : path-like
    labels : "inferred", None or sequence of int
        Of the names of the folders, none, or one for each file in the order of their paths.
    label_mode : {"int", "binary", "categorical", None}
    class_names : list of str, optional
        Folders, in the order of their numbers.
    color_mode : {"rgb", "rgba", "grayscale"}
    batch_size : int, optional
        None: single images.
    image_size : (rows, columns)
    shuffle : bool, default True
    seed : int, optional
    validation_split : float, optional
    subset : {"training", "validation", "both"}, optional
    interpolation : str, default "bilinear"
    follow_links, pad_to_aspect_ratio, data_format, verbose : optional
        Taken; they change nothing.
    crop_to_aspect_ratio : bool, default False
        Cut the middle out, so that nothing is distorted.
    """
    mode = None if labels is None else label_mode
    if mode is not None:
        choice("image_dataset_from_directory", "label_mode", mode, LABEL_MODES)
    if subset == "both":
        given = {k: v for k, v in locals().items() if k not in ("mode", "subset")}
        return tuple(image_dataset_from_directory(subset=part, **given) for part in ("training", "validation"))

    def read(path):
        img = load_img(path, False, color_mode, image_size, interpolation, crop_to_aspect_ratio)
        return img_to_array(img, "channels_last", "float32")

    paths, y, names = _indexed(directory, SUFFIXES, labels, class_names, shuffle, seed, validation_split, subset)
    return _dataset(read, paths, y, mode, names, batch_size, shuffle and subset != "validation", seed)


def text_dataset_from_directory(directory, labels="inferred", label_mode: str | None = "int", class_names=None,
                                batch_size: int | None = 32, max_length: int | None = None, shuffle: bool = True,
                                seed: int | None = None, validation_split: float | None = None,
                                subset: str | None = None, follow_links: bool = False,
                                verbose: bool = True):  # fmt: skip
    """Return a data set of (texts, labels), of files that end with .txt.

    Parameters
    ----------
    directory : path-like
    labels : "inferred", None or sequence of int
    label_mode : {"int", "binary", "categorical", None}
    class_names : list of str, optional
    batch_size : int, optional
    max_length : int, optional
        Characters; what is longer is cut.
    shuffle : bool, default True
    seed : int, optional
    validation_split : float, optional
    subset : {"training", "validation", "both"}, optional
    follow_links, verbose : optional
        Taken; they change nothing.
    """
    mode = None if labels is None else label_mode
    if mode is not None:
        choice("text_dataset_from_directory", "label_mode", mode, LABEL_MODES)
    if subset == "both":
        given = {k: v for k, v in locals().items() if k not in ("mode", "subset")}
        return tuple(text_dataset_from_directory(subset=part, **given) for part in ("training", "validation"))

    def read(path):
        return np.array(path.read_text(encoding="utf-8")[:max_length])

    paths, y, names = _indexed(directory, (".txt",), labels, class_names, shuffle, seed, validation_split, subset)
    return _dataset(read, paths, y, mode, names, batch_size, shuffle and subset != "validation", seed)


def timeseries_dataset_from_array(data, targets, sequence_length: int, sequence_stride: int = 1, sampling_rate: int = 1,
                                  batch_size: int | None = 128, shuffle: bool = False, seed: int | None = None,
                                  start_index: int | None = None, end_index: int | None = None):  # fmt: skip
    """Return a data set of windows of a series, with the targets that stand at their beginnings.

    Parameters
    ----------
    data : array_like
    targets : array_like, optional
        Entry i belongs to the window that begins at row i.
    sequence_length : int
        Rows of a window.
    sequence_stride : int, default 1
        Rows from the beginning of a window to that of the next.
    sampling_rate : int, default 1
        Rows from one of a window to the next.
    batch_size : int, optional
    shuffle : bool, default False
    seed : int, optional
    start_index, end_index : int, optional
    """
    from pynn.keras.tensorflow.data import Dataset, _generator

    series = np.asarray(data)
    start = start_index or 0
    end = len(series) if end_index is None else end_index
    last = end - (sequence_length - 1) * sampling_rate
    if targets is not None:
        targets = np.asarray(targets)
        last = min(last, len(targets) + (0 if start_index is None else start))
    begins = np.arange(start, last, sequence_stride)
    if not len(begins):
        raise DataError(f"[timeseries_dataset_from_array] expected a series of more than {sequence_length} rows.")
    inside = np.arange(sequence_length) * sampling_rate

    def walk():
        for i in begins[_generator(seed).permutation(len(begins))] if shuffle else begins:
            window = series[i + inside]
            yield window if targets is None else (window, targets[i - (start if start_index else 0)])

    made = Dataset(walk, len(begins))
    return made if batch_size is None else made.batch(batch_size)
