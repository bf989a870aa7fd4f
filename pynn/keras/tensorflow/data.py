"""``tf.data``: data sets as chains of steps; elements are arrays, alone or in tuples and dicts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from pynn.checks import positive
from pynn.errors import DataError, ShapeError
from pynn.keras.names import absent, missing, refused
from pynn.keras.ops.arrays import convert_to_numpy, replaced

__all__ = ["AUTOTUNE", "Dataset", "Options", "TensorSpec", "experimental"]

AUTOTUNE = -1
INFINITE, UNKNOWN = -1, -2


class Value(np.ndarray):
    """An array that also answers to numpy(), as TensorFlow's eager tensors do."""

    def numpy(self):
        """Return the array; a number or text where it has no axes."""
        array = self.view(np.ndarray)
        found = array[()] if array.ndim == 0 else array
        return found.encode() if isinstance(found, str) else found

    def get_shape(self) -> tuple[int, ...]:
        """Return the sizes of the axes."""
        return self.shape


class TensorSpec(NamedTuple):
    """Shape and dtype of an element."""

    shape: Any = None
    dtype: Any = "float32"
    name: str | None = None


class Options:
    """Settings of a data set that mean nothing here."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.__dict__.setdefault(name, Options())


def _told(x):
    return np.asarray(x).view(Value)


def _array(x):
    if type(x).__name__ in ("RaggedTensor", "SparseTensor"):
        raise ShapeError(f"[Dataset] expected dense data. Received: a {type(x).__name__}. help: pad to one length.")
    return np.asarray(convert_to_numpy(x)).view(np.ndarray)


def _leaves(x):
    found = []
    replaced(x, found.append)
    return found


def _nested(x):
    """Return a structure of arrays; a list is an array, a tuple or dict is a structure."""
    if isinstance(x, tuple):
        return tuple(_nested(part) for part in x)
    if isinstance(x, dict) or hasattr(x, "to_dict"):
        return {key: _nested(x[key]) for key in x}
    try:
        return _array(x)
    except ValueError:
        raise ShapeError(
            "[Dataset] expected rectangular data. Received: rows of different lengths. "
            "help: keras.utils.pad_sequences makes them alike."
        ) from None


def _rows_of(table, rows):
    return replaced(table, lambda a: a[rows])


def _stacked(elements):
    first = elements[0]
    if isinstance(first, tuple):
        return tuple(_stacked([e[i] for e in elements]) for i in range(len(first)))
    if isinstance(first, dict):
        return {key: _stacked([e[key] for e in elements]) for key in first}
    arrays = [np.asarray(e) for e in elements]
    if len({a.shape for a in arrays}) > 1:
        raise ShapeError(
            f"[Dataset.batch] expected elements of one shape. Received: {arrays[0].shape} and others. "
            "help: padded_batch() fills them up."
        )
    return np.stack(arrays)


class Dataset:
    """A sequence of elements that is made anew each time it is walked through.

    Made by the functions ``from_tensor_slices``, ``from_tensors``, ``from_generator``, ``range`` and ``zip``.
    """

    def __init__(self, walk, size=UNKNOWN, table=None):
        self._walk, self._size = walk, size
        self._table = table  # arrays whose rows are the elements, where that is all there is to it
        self._mixed = False  # whether the rows come in another order each time
        self._order = lambda: np.arange(size)
        self.class_names = []
        self.file_paths = []
        self.batch_size = None
        self.rows = None  # of what was put into batches: a data set whose rows are a table

    @staticmethod
    def from_tensor_slices(tensors, name: str | None = None) -> Dataset:
        """Return the rows of arrays as elements."""
        table = _nested(tensors)
        sizes = {len(a) if a.ndim else -1 for a in _leaves(table)}
        if len(sizes) != 1 or -1 in sizes:
            shapes = [a.shape for a in _leaves(table)]
            raise ShapeError(f"[from_tensor_slices] expected arrays of equally many rows. Received: shapes {shapes}.")
        n = sizes.pop()
        return Dataset(lambda: (_rows_of(table, i) for i in range(n)), n, table)

    @staticmethod
    def from_tensors(tensors, name: str | None = None) -> Dataset:
        """Return a data set with one element."""
        element = _nested(tensors)
        return Dataset(lambda: iter([element]), 1)

    @staticmethod
    def from_generator(generator: Callable[..., Any], output_types=None, output_shapes=None, args=(),
                       output_signature=None, name: str | None = None) -> Dataset:  # fmt: skip
        """Return what a generator yields."""
        return Dataset(lambda: (_nested(x) for x in generator(*(args or ()))))

    @staticmethod
    def range(*args: int, **options) -> Dataset:
        """Return whole numbers as elements."""
        numbers = range(*args)
        return Dataset(lambda: (np.int64(i) for i in numbers), len(numbers), np.array(numbers, np.int64))

    @staticmethod
    def zip(*datasets, name: str | None = None) -> Dataset:
        """Return tuples of the elements of several data sets."""
        several = datasets[0] if len(datasets) == 1 and isinstance(datasets[0], (tuple, list)) else datasets
        known = [d._size for d in several if d._size != INFINITE]
        size = UNKNOWN if UNKNOWN in known else min(known, default=INFINITE)
        return Dataset(lambda: zip(*(d._walk() for d in several), strict=False), size)

    @staticmethod
    def list_files(file_pattern, shuffle: bool = True, seed=None, name: str | None = None) -> Dataset:
        """Return paths that fit patterns as elements."""
        import glob

        patterns = [file_pattern] if isinstance(file_pattern, str) else file_pattern
        found = Dataset.from_tensor_slices(np.array(sorted(p for pattern in patterns for p in glob.glob(pattern))))
        return found.shuffle(len(found) or 1, seed) if shuffle else found

    def shuffle(self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool | None = None,
                name: str | None = None) -> Dataset:  # fmt: skip
        """Return the elements in another order, each time anew: drawn out of the next `buffer_size` of them."""
        buffer_size = positive("shuffle", "buffer_size", int(buffer_size))
        anew = reshuffle_each_iteration is not False
        rng = [_generator(seed)]
        first = rng[0].bit_generator.state

        def begun():
            if not anew:
                rng[0].bit_generator.state = first
            return rng[0]

        if self._table is not None and buffer_size >= self._size and not self._mixed:
            table, n = self._table, self._size
            out = Dataset(lambda: (_rows_of(table, i) for i in begun().permutation(n)), n, table)
            out._mixed = True
            out._order = lambda: begun().permutation(n)
            return out

        def walk():
            source, generator = self._walk(), begun()
            held = list(itertools.islice(source, buffer_size))
            for element in source:
                at = int(generator.integers(len(held)))
                yield held[at]
                held[at] = element
            for at in generator.permutation(len(held)):
                yield held[at]

        return Dataset(walk, self._size)

    def batch(self, batch_size: int, drop_remainder: bool = False, num_parallel_calls=None, deterministic=None,
              name: str | None = None) -> Dataset:  # fmt: skip
        """Return batches of elements as elements."""
        n = positive("batch", "batch_size", int(batch_size))
        size = self._size if self._size < 0 else self._size // n if drop_remainder else -(-self._size // n)

        def walk():
            if self._table is not None:
                order = self._order() if self._mixed else np.arange(self._size)
                for i in range(0, size * n, n):
                    yield _rows_of(self._table, order[i : i + n])
                return
            source = self._walk()
            while elements := list(itertools.islice(source, n)):
                if len(elements) == n or not drop_remainder:
                    yield _stacked(elements)

        made = Dataset(walk, size)
        made.batch_size = n
        if self._table is not None and not drop_remainder:
            made.rows = self
        return made

    def padded_batch(self, batch_size: int, padded_shapes=None, padding_values=None, drop_remainder: bool = False,
                     name: str | None = None) -> Dataset:  # fmt: skip
        """Return batches of elements that are filled up to the largest size of each batch with zeros."""

        def walk():
            source = self._walk()
            while elements := list(itertools.islice(source, batch_size)):
                if len(elements) == batch_size or not drop_remainder:
                    yield _stacked(_filled(elements))

        return Dataset(walk, self._size if self._size < 0 else -(-self._size // batch_size))

    def unbatch(self, name: str | None = None) -> Dataset:
        """Return the rows of each element as elements."""
        if self.rows is not None:
            return self.rows

        def walk():
            for element in self._walk():
                for i in range(len(_leaves(element)[0])):
                    yield _rows_of(element, i)

        return Dataset(walk)

    def map(self, map_func: Callable[..., Any], num_parallel_calls=None, deterministic=None,
            name: str | None = None) -> Dataset:  # fmt: skip
        """Return function(element); of a tuple, its parts are the arguments."""
        return Dataset(lambda: (_mapped(map_func, element) for element in self._walk()), self._size)

    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """Return the elements for which the function is true."""
        return Dataset(lambda: (e for e in self._walk() if bool(np.all(_mapped(predicate, e)))))

    def flat_map(self, map_func: Callable[..., Any], name: str | None = None) -> Dataset:
        """Return the elements of the data sets that a function returns."""
        return Dataset(lambda: (x for e in self._walk() for x in _given(map_func, e)._walk()))

    def interleave(self, map_func: Callable[..., Any], *args, **options) -> Dataset:
        """Return the elements of the data sets that a function returns, one after the other."""
        return self.flat_map(map_func)

    def prefetch(self, buffer_size=None, name: str | None = None) -> Dataset:
        """Return itself: arrays need no fetching."""
        return self

    def cache(self, filename="", name: str | None = None) -> Dataset:
        """Return the same elements, kept in memory once they were made."""
        if self._table is not None and not self._mixed:
            return self
        kept = []
        whole = [False]

        def walk():
            if whole[0]:
                yield from kept
                return
            kept.clear()
            for element in self._walk():
                kept.append(element)
                yield element
            whole[0] = True

        made = Dataset(walk, self._size)
        made.batch_size = self.batch_size
        return made

    def repeat(self, count: int | None = None, name: str | None = None) -> Dataset:
        """Return the elements so often, or without end."""
        endless = count is None or count < 0
        size = INFINITE if endless else self._size if self._size < 0 else self._size * int(count or 0)

        def walk():
            for _ in itertools.count() if endless else range(int(count or 0)):
                empty = True
                for element in self._walk():
                    empty = False
                    yield element
                if empty:
                    return

        made = Dataset(walk, size)
        made.batch_size = self.batch_size
        return made

    def take(self, count: int, name: str | None = None) -> Dataset:
        """Return the first elements."""
        if count < 0:
            return self
        size = count if self._size == INFINITE else self._size if self._size < 0 else min(count, self._size)
        return Dataset(lambda: itertools.islice(self._walk(), count), size)

    def skip(self, count: int, name: str | None = None) -> Dataset:
        """Return the elements but for the first."""
        size = self._size if self._size < 0 else max(0, self._size - count)
        return Dataset(lambda: itertools.islice(self._walk(), count, None), size)

    def shard(self, num_shards: int, index: int, name: str | None = None) -> Dataset:
        """Return every so-manieth element."""
        return Dataset(lambda: itertools.islice(self._walk(), index, None, num_shards))

    def concatenate(self, dataset: Dataset, name: str | None = None) -> Dataset:
        """Return the elements of this one, then those of another."""
        size = self._size + dataset._size if self._size >= 0 and dataset._size >= 0 else UNKNOWN
        return Dataset(lambda: itertools.chain(self._walk(), dataset._walk()), size)

    def enumerate(self, start: int = 0, name: str | None = None) -> Dataset:
        """Return (number, element)."""
        return Dataset(lambda: ((np.int64(i), e) for i, e in enumerate(self._walk(), start)), self._size)

    def window(self, *_, **__):
        """Refuse."""
        refused("tensorflow.data.Dataset.window", "keras.utils.timeseries_dataset_from_array, or slices of an array")

    def reduce(self, initial_state, reduce_func: Callable[..., Any], name: str | None = None):
        """Return what is left when a function has taken element after element."""
        kept = initial_state
        for element in self._walk():
            kept = reduce_func(kept, replaced(element, _told))
        return kept

    def apply(self, transformation_func: Callable[..., Any]):
        """Return function(this data set)."""
        return transformation_func(self)

    def with_options(self, options, name: str | None = None) -> Dataset:
        """Return itself."""
        return self

    def cardinality(self, name: str | None = None):
        """Return the number of elements; -1 without end, -2 if it is not known."""
        return _told(np.int64(self._size))

    @property
    def element_spec(self):
        """Shape and dtype of the first element; None for the batch."""
        first = next(iter(self._walk()))
        batch = self.batch_size is not None
        return replaced(
            first, lambda a: TensorSpec((None, *np.shape(a)[1:]) if batch else np.shape(a), np.asarray(a).dtype)
        )

    def as_numpy_iterator(self) -> Iterator[Any]:
        """Walk through the elements as arrays."""
        return (replaced(e, lambda a: _told(a).numpy()) for e in self._walk())

    def get_single_element(self, name: str | None = None):
        """Return the one element."""
        found = list(itertools.islice(self._walk(), 2))
        if len(found) != 1:
            raise DataError("[get_single_element] expected one element. Received: none, or more.")
        return replaced(found[0], _told)

    def whole(self) -> tuple[Any, int, bool] | None:
        """Return arrays, rows of a batch, and whether rows are mixed; None where steps make elements otherwise."""
        if self.rows is None or self.batch_size is None:
            return None
        return self.rows._table, self.batch_size, self.rows._mixed

    def __iter__(self):
        return (replaced(e, _told) for e in self._walk())

    def __len__(self):
        if self._size < 0:
            raise TypeError(
                f"[Dataset] the number of elements is {'infinite' if self._size == INFINITE else 'unknown'}."
            )
        return self._size

    def __bool__(self):
        return True

    def __repr__(self):
        return f"<Dataset of {self._size if self._size >= 0 else 'some'} elements>"

    def __getattr__(self, name):
        missing("tensorflow.data.Dataset", name, [n for n in dir(Dataset) if n[0] != "_"])


def _generator(seed):
    """Return a source of orders: of a seed, else of the one that set_random_seed() set, if it did."""
    from pynn.keras.making import next_seed

    return np.random.default_rng(seed if seed is not None else next_seed())


def _given(function, element):
    values = replaced(element, _told)
    return function(*values) if isinstance(values, tuple) else function(values)


def _mapped(function, element):
    out = _given(function, element)
    return _nested(tuple(out) if isinstance(out, list) and not np.isscalar(out[0]) else out)


def _filled(elements):
    sizes = []
    for k, leaf in enumerate(_leaves(elements[0])):
        shapes = [np.shape(_leaves(e)[k]) for e in elements]
        sizes.append(tuple(max(s[i] for s in shapes) for i in range(np.ndim(leaf))))

    def filled(element):
        left = iter(sizes)
        return replaced(element, lambda a: np.pad(a, [(0, n - d) for n, d in zip(next(left), a.shape, strict=True)]))

    return [filled(e) for e in elements]


class experimental:
    """``tf.data.experimental``."""

    AUTOTUNE = AUTOTUNE

    @staticmethod
    def cardinality(dataset: Dataset):
        """Return the number of elements."""
        return dataset.cardinality()


__getattr__ = absent("tensorflow.data", __all__)
