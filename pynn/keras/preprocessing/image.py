"""Images as arrays and files, and ImageDataGenerator: endless batches of images that are changed by chance."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from pynn.checks import choice
from pynn.errors import DataError, ShapeError
from pynn.keras.config import floatx, image_data_format
from pynn.keras.names import absent
from pynn.keras.preprocessing import pictures
from pynn.keras.preprocessing.pictures import (
    SUFFIXES,
    apply_affine_transform,
    img_to_array,
    load_img,
    random_brightness,
    random_channel_shift,
)
from pynn.keywords import Spelled

_PICTURES = (
    "apply_affine_transform", "array_to_img", "img_to_array", "list_pictures", "load_img", "random_brightness",
    "random_channel_shift", "random_rotation", "random_shear", "random_shift", "random_zoom", "save_img",
    "smart_resize",
)  # fmt: skip
globals().update({name: getattr(pictures, name) for name in _PICTURES})
__all__ = sorted(["DirectoryIterator", "ImageDataGenerator", "Iterator", "NumpyArrayIterator", *_PICTURES])

CLASS_MODES = ("categorical", "binary", "sparse", "input", None)


class Iterator:
    """Batches without end, in another order in each pass; also a sequence of as many as one pass has.

    Parameters
    ----------
    n : int
        Samples.
    batch_size : int
    shuffle : bool
    seed : int or None
    """

    def __init__(self, n, batch_size, shuffle, seed):
        self.n = self.samples = n
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.batch_index, self.total_batches_seen = 0, 0
        self.index_array = None

    def _made(self, rows):
        raise NotImplementedError

    def _ordered(self):
        if self.seed is not None:
            np.random.seed(self.seed + self.total_batches_seen)
        self.index_array = np.random.permutation(self.n) if self.shuffle else np.arange(self.n)

    def reset(self):
        """Begin a pass anew."""
        self.batch_index = 0

    def on_epoch_end(self):
        """Give the next pass an order of its own."""
        self._ordered()

    def __len__(self):
        return math.ceil(self.n / self.batch_size)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"[generator] expected a batch from 0 to {len(self) - 1}. Received: {index}.")
        if self.index_array is None:
            self._ordered()
        assert self.index_array is not None
        self.total_batches_seen += 1
        return self._made(self.index_array[index * self.batch_size : (index + 1) * self.batch_size])

    def __iter__(self):
        return self

    def __next__(self):
        if self.batch_index == 0:
            self._ordered()
        batch = self[self.batch_index]
        self.batch_index = (self.batch_index + 1) % len(self)
        return batch

    next = __next__

    def as_keras_batches(self):
        """Return what fit reads: passes that end."""
        return _Passes(self)


class _Passes:
    """What fit reads: the batches of an iterator by number, in another order after each pass.

    Parameters
    ----------
    batches : Iterator
    """

    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]

    def on_epoch_end(self):
        """Give the next pass an order of its own."""
        self.batches.on_epoch_end()


class NumpyArrayIterator(Iterator):
    """Batches of arrays.

    Parameters
    ----------
    x : array_like, shape [n, rows, columns, channels]
        Or a tuple of it and other arrays, which are handed out as they are.
    y : array_like, optional
    generator : ImageDataGenerator
    batch_size, shuffle, sample_weight, seed : optional
    """

    def __init__(self, x, y, generator, batch_size=32, shuffle=True, sample_weight=None, seed=None):
        images, self.others = (x[0], [np.asarray(o) for o in x[1]]) if isinstance(x, (tuple, list)) and not hasattr(
            x, "dtype") and len(x) == 2 and isinstance(x[1], (tuple, list)) else (x, [])  # fmt: skip
        self.x = np.asarray(images, floatx())
        if self.x.ndim != 4:
            raise ShapeError(f"[flow] expected images, [n, rows, columns, channels]. Received: shape={self.x.shape}.")
        self.y = None if y is None else np.asarray(y)
        self.w = None if sample_weight is None else np.asarray(sample_weight)
        for name, other in (("y", self.y), ("sample_weight", self.w)):
            if other is not None and len(other) != len(self.x):
                raise ShapeError(f"[flow] expected {len(self.x)} rows of {name}. Received: {len(other)}.")
        self.generator = generator
        super().__init__(len(self.x), batch_size, shuffle, seed)

    def _made(self, rows):
        g = self.generator
        images = np.stack([g.standardize(g.random_transform(self.x[i])) for i in rows])
        x = [images, *(o[rows] for o in self.others)] if self.others else images
        if self.y is None:
            return x
        return (x, self.y[rows]) if self.w is None else (x, self.y[rows], self.w[rows])


class DirectoryIterator(Iterator):
    """Batches of the images of a folder whose folders are the classes.

    Attributes
    ----------
    class_indices : dict of str to int
    classes : ndarray of int
    filenames, filepaths : list of str
    num_classes : int
    """

    def __init__(self, directory, generator, target_size=(256, 256), color_mode="rgb", classes=None,
                 class_mode="categorical", batch_size=32, shuffle=True, seed=None, subset=None,
                 interpolation="nearest"):  # fmt: skip
        self.directory, self.generator, self.target_size = directory, generator, tuple(target_size)
        self.color_mode, self.interpolation = color_mode, interpolation
        if class_mode not in CLASS_MODES:
            raise ValueError(f"[flow_from_directory] expected class_mode of {CLASS_MODES}. Received: {class_mode!r}.")
        self.class_mode = class_mode
        folder = Path(directory)
        if not folder.is_dir():
            raise DataError(f"[flow_from_directory] expected a folder. Received: {str(directory)!r}.")
        names = list(classes) if classes else sorted(p.name for p in folder.iterdir() if p.is_dir())
        self.class_indices = {name: i for i, name in enumerate(names)}
        self.num_classes = len(names)
        paths = []
        labels = []
        for name, i in self.class_indices.items():
            inside = sorted(p for p in (folder / name).rglob("*") if p.suffix.lower() in SUFFIXES)
            if subset is not None:
                held = int(len(inside) * generator._validation_split)
                inside = inside[:held] if subset == "validation" else inside[held:]
            paths += inside
            labels += [i] * len(inside)
        self.filepaths = [str(p) for p in paths]
        self.filenames = [str(p.relative_to(folder)) for p in paths]
        self.classes = np.array(labels, np.int32)
        print(f"Found {len(paths)} images belonging to {self.num_classes} classes.")
        super().__init__(len(paths), batch_size, shuffle, seed)
        channels = {"grayscale": 1, "rgb": 3, "rgba": 4}[choice("flow_from_directory", "color_mode", color_mode, (
            "grayscale", "rgb", "rgba"))]  # fmt: skip
        last = image_data_format() == "channels_last"
        self.image_shape = (*self.target_size, channels) if last else (channels, *self.target_size)

    @property
    def labels(self) -> np.ndarray:
        """The class of each image."""
        return self.classes

    def _made(self, rows):
        images = []
        for i in rows:
            img = load_img(self.filepaths[i], False, self.color_mode, self.target_size, self.interpolation)
            images.append(self.generator.standardize(self.generator.random_transform(img_to_array(img))))
        x = np.stack(images)
        if self.class_mode is None:
            return x
        y = self.classes[rows]
        if self.class_mode == "input":
            y = x.copy()
        elif self.class_mode == "categorical":
            y = np.eye(self.num_classes, dtype=floatx())[y]
        return x, y.astype(floatx()) if self.class_mode == "binary" else y


class ImageDataGenerator(Spelled):
    """Changes images by chance, and scales them.

    Parameters
    ----------
    featurewise_center, samplewise_center : bool, default False
        Take the mean away: of all images (see fit()), or of each.
    featurewise_std_normalization, samplewise_std_normalization : bool, default False
        Divide by the standard deviation.
    zca_whitening : bool, default False
        Take the correlations of pixels away (see fit()).
    zca_epsilon : float, default 1e-6
    rotation_range : float, default 0
        Degrees, either way.
    width_shift_range, height_shift_range : float, int or sequence, default 0.0
        Parts of the size below 1, else pixels; or the shifts to choose from.
    brightness_range : (float, float), optional
    shear_range : float, default 0.0
        Degrees, either way.
    zoom_range : float or (float, float), default 0.0
    channel_shift_range : float, default 0.0
    fill_mode : {"nearest", "constant", "reflect", "wrap"}, default "nearest"
    cval : float, default 0.0
    horizontal_flip, vertical_flip : bool, default False
    rescale : float, optional
        A factor.
    preprocessing_function : callable, optional
        Of one image; after the changes.
    data_format : {"channels_last", "channels_first"}, optional
    validation_split : float, default 0.0
        The part that ``subset="validation"`` gives.
    interpolation_order : int, default 1
    dtype : dtype, optional

    Examples
    --------
    >>> import numpy as np
    >>> flow = ImageDataGenerator(horizontal_flip=True).flow(np.ones((10, 8, 8, 3)), np.arange(10), batch_size=4)
    >>> [x.shape for x, y in (flow[i] for i in range(len(flow)))]
    [(4, 8, 8, 3), (4, 8, 8, 3), (2, 8, 8, 3)]
    """

    def __init__(self, featurewise_center=False, samplewise_center=False, featurewise_std_normalization=False,
                 samplewise_std_normalization=False, zca_whitening=False, zca_epsilon=1e-6, rotation_range=0,
                 width_shift_range=0.0, height_shift_range=0.0, brightness_range=None, shear_range=0.0, zoom_range=0.0,
                 channel_shift_range=0.0, fill_mode="nearest", cval=0.0, horizontal_flip=False, vertical_flip=False,
                 rescale=None, preprocessing_function=None, data_format=None, validation_split=0.0,
                 interpolation_order=1, dtype=None):  # fmt: skip
        self.featurewise_center, self.samplewise_center = featurewise_center, samplewise_center
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening, self.zca_epsilon = zca_whitening, zca_epsilon
        self.rotation_range, self.shear_range = rotation_range, shear_range
        self.width_shift_range, self.height_shift_range = width_shift_range, height_shift_range
        self.brightness_range, self.channel_shift_range = brightness_range, channel_shift_range
        single = isinstance(zoom_range, (int, float))
        self.zoom_range = (1 - zoom_range, 1 + zoom_range) if single else tuple(zoom_range)
        self.fill_mode = choice(
            "ImageDataGenerator", "fill_mode", fill_mode, ("nearest", "constant", "reflect", "wrap")
        )
        self.cval, self.horizontal_flip, self.vertical_flip = cval, horizontal_flip, vertical_flip
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self.data_format = data_format or image_data_format()
        if not 0 <= validation_split < 1:
            raise ValueError(
                f"[ImageDataGenerator] expected validation_split from 0 to below 1. Received: {validation_split}."
            )
        self._validation_split, self.interpolation_order = validation_split, interpolation_order
        self.mean = None
        self.std = None
        self.principal_components = None

    @property
    def _channel(self):
        return 2 if self.data_format == "channels_last" else 0

    def flow(self, x, y=None, batch_size: int = 32, shuffle: bool = True, sample_weight=None, seed: int | None = None,
             save_to_dir=None, save_prefix: str = "", save_format: str = "png", ignore_class_split: bool = False,
             subset: str | None = None) -> NumpyArrayIterator:  # fmt: skip
        """Return batches of arrays without end.

        Parameters
        ----------
        x : array_like, shape [n, rows, columns, channels]
        y : array_like, optional
        batch_size : int, default 32
        shuffle : bool, default True
        sample_weight : array_like, optional
        seed : int, optional
        save_to_dir, save_prefix, save_format, ignore_class_split : optional
            Refused, if a folder is given.
        subset : {"training", "validation"}, optional
            With `validation_split`; the first rows are for validation.
        """
        if save_to_dir is not None:
            raise NotImplementedError("[flow] expected no save_to_dir. help: keras.utils.save_img writes images.")
        if subset is not None:
            choice("flow", "subset", subset, ("training", "validation"))
            end = int(len(x) * self._validation_split)
            part = slice(None, end) if subset == "validation" else slice(end, None)
            x, y, sample_weight = (None if a is None else a[part] for a in (x, y, sample_weight))
        return NumpyArrayIterator(x, y, self, batch_size, shuffle, sample_weight, seed)

    def flow_from_directory(self, directory, target_size=(256, 256), color_mode: str = "rgb", classes=None,
                            class_mode: str | None = "categorical", batch_size: int = 32, shuffle: bool = True,
                            seed: int | None = None, save_to_dir=None, save_prefix: str = "", save_format: str = "png",
                            follow_links: bool = False, subset: str | None = None, interpolation: str = "nearest",
                            keep_aspect_ratio: bool = False) -> DirectoryIterator:  # fmt: skip
        """Return batches of the images of a folder whose folders are the classes.

        Parameters
        ----------
        directory : path-like
        target_size : (rows, columns), default (256, 256)
        color_mode : {"rgb", "rgba", "grayscale"}, default "rgb"
        classes : list of str, optional
            Names of folders; all by default.
        class_mode : {"categorical", "binary", "sparse", "input", None}, default "categorical"
        batch_size : int, default 32
        shuffle : bool, default True
        seed : int, optional
        save_to_dir, save_prefix, save_format, follow_links, keep_aspect_ratio : optional
            Taken; they change nothing.
        subset : {"training", "validation"}, optional
        interpolation : str, default "nearest"
        """
        return DirectoryIterator(
            directory,
            self,
            target_size,
            color_mode,
            classes,
            class_mode,
            batch_size,
            shuffle,
            seed,
            subset,
            interpolation,
        )

    def fit(self, x, augment: bool = False, rounds: int = 1, seed: int | None = None):
        """Find the mean, the standard deviation and the correlations of images, for what is taken away.

        Parameters
        ----------
        x : array_like, shape [n, rows, columns, channels]
        augment : bool, default False
            Of changed images.
        rounds : int, default 1
            With `augment`: how often each is changed.
        seed : int, optional
        """
        x = np.array(x, floatx())
        if x.ndim != 4:
            raise ShapeError(f"[fit] expected images, [n, rows, columns, channels]. Received: shape={x.shape}.")
        if seed is not None:
            np.random.seed(seed)
        if augment:
            x = np.stack([self.random_transform(image) for _ in range(rounds) for image in x])
        axes = tuple(a for a in range(4) if a != self._channel + 1)
        if self.featurewise_center or self.zca_whitening:
            self.mean = x.mean(axis=axes, keepdims=True)[0]
            x -= self.mean
        if self.featurewise_std_normalization:
            self.std = x.std(axis=axes, keepdims=True)[0]
            x /= self.std + 1e-6
        if self.zca_whitening:
            flat = x.reshape(len(x), -1)
            u, s, _ = np.linalg.svd(flat.T @ flat / len(flat))
            self.principal_components = (u / np.sqrt(s + self.zca_epsilon)) @ u.T

    def standardize(self, x) -> np.ndarray:
        """Return an image scaled, with mean and deviation taken away.

        Parameters
        ----------
        x : ndarray, shape [rows, columns, channels]
        """
        if self.preprocessing_function is not None:
            x = self.preprocessing_function(x)
        x = np.asarray(x, floatx())
        if self.rescale:
            x = x * np.asarray(self.rescale, x.dtype)
        if self.samplewise_center:
            x = x - x.mean(keepdims=True)
        if self.samplewise_std_normalization:
            x = x / (x.std(keepdims=True) + 1e-6)
        if self.mean is not None:
            x = x - self.mean
        if self.std is not None:
            x = x / (self.std + 1e-6)
        if self.principal_components is not None:
            x = (x.reshape(-1) @ self.principal_components).reshape(x.shape)
        return x.astype(floatx(), copy=False)

    def get_random_transform(self, img_shape, seed: int | None = None) -> dict[str, Any]:
        """Return what a change by chance is made of.

        Parameters
        ----------
        img_shape : (rows, columns, channels)
        seed : int, optional
        """
        if seed is not None:
            np.random.seed(seed)
        rows, columns = [n for a, n in enumerate(img_shape) if a != self._channel]
        draw = np.random.uniform
        zoom = (1.0, 1.0) if self.zoom_range == (1, 1) else draw(self.zoom_range[0], self.zoom_range[1], 2)
        return {
            "theta": draw(-self.rotation_range, self.rotation_range) if self.rotation_range else 0,
            "tx": _shift(self.height_shift_range, rows),
            "ty": _shift(self.width_shift_range, columns),
            "shear": draw(-self.shear_range, self.shear_range) if self.shear_range else 0,
            "zx": float(zoom[0]),
            "zy": float(zoom[1]),
            "flip_horizontal": self.horizontal_flip and np.random.random() < 0.5,
            "flip_vertical": self.vertical_flip and np.random.random() < 0.5,
        }

    def apply_transform(self, x, transform_parameters: dict[str, Any]) -> np.ndarray:
        """Return an image changed so.

        Parameters
        ----------
        x : ndarray, shape [rows, columns, channels]
        transform_parameters : dict
            As get_random_transform() returns it.
        """
        row, column = [a for a in range(3) if a != self._channel]
        given = transform_parameters
        moves = {name: given[name] for name in ("theta", "tx", "ty", "shear", "zx", "zy") if name in given}
        x = apply_affine_transform(
            x, **moves, row_axis=row, col_axis=column, channel_axis=self._channel, fill_mode=self.fill_mode,
            cval=self.cval, order=self.interpolation_order,
        )  # fmt: skip
        if given.get("flip_horizontal"):
            x = np.flip(x, column)
        return np.flip(x, row) if given.get("flip_vertical") else x

    def random_transform(self, x, seed: int | None = None) -> np.ndarray:
        """Return an image changed by chance.

        Parameters
        ----------
        x : ndarray, shape [rows, columns, channels]
        seed : int, optional
        """
        x = self.apply_transform(x, self.get_random_transform(np.shape(x), seed))
        if self.channel_shift_range:
            x = random_channel_shift(x, self.channel_shift_range, self._channel)
        return x if self.brightness_range is None else random_brightness(x, self.brightness_range, False)


def _shift(how, size):
    if isinstance(how, (list, tuple, np.ndarray)):
        return float(np.random.choice(how)) * float(np.random.choice([-1, 1]))
    if isinstance(how, (int, np.integer)):
        return float(np.random.choice(np.arange(-how, how + 1))) if how > 0 else 0.0
    chosen = float(np.random.uniform(-how, how)) if how else 0.0
    return chosen * size if abs(how) < 1 else chosen


__getattr__ = absent("pynn.keras.preprocessing.image", __all__)
