"""Every reader of files, small whole files for each, and where in the library files are opened or parsed.

A new place that opens or parses files fails tests/test_readers.py until PLACES names the reader that reaches it.
"""

from __future__ import annotations

import bz2
import contextlib
import functools
import gzip
import hashlib
import importlib
import importlib.util
import io
import json
import lzma
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn
from pynn.errors import DataError, DTypeError, ShapeError

Files = dict[str, bytes]


@dataclass(frozen=True)
class Reader:
    """A way into the library for a file.

    Attributes
    ----------
    name : str
    files : callable
        Returns whole files by their names.
    read : callable (path)
        Reads one; returns what can be compared.
    form : str
        Of `mutate.FORMS`.
    kinds : tuple of type
        The errors that are documented.
    whole : bool
        The file carries a digest of its content: it is refused, or says the same as before it was changed.
    held : callable
        Returns what must be as before when reading failed.
    """

    name: str
    files: Callable[[], Files]
    read: Callable[[Path], Any]
    form: str = ""
    kinds: tuple[type[BaseException], ...] = (DataError,)
    whole: bool = False
    held: Callable[[], Any] | None = None


# Files of models


def saved(model: Any, **more: Any) -> bytes:
    """Return the file of a model."""
    return pynn.io.dumps(model, **more)


@functools.cache
def trained() -> Any:
    """Return a small classifier, trained for some steps."""
    layers = [nn.Input((4,)), nn.Dense(5, activation="tanh", kernel_regularizer="l2"), nn.Dropout(0.5)]
    model = nn.Sequential([*layers, nn.Dense(3, activation="softmax")])
    model.compile(pynn.optim.Adam(pynn.schedules.Cosine(0.1, steps=5)), "cross_entropy", ["accuracy"], seed=1)
    model.fit(np.ones((8, 4), "float32"), np.arange(8) % 3, batch_size=4, verbose=0)
    return model


@functools.cache
def models() -> Files:
    """Return files of models of many kinds of layers."""
    a = nn.Input((2, 3))
    shared = nn.Dense(3)
    sequence = nn.Sequential([nn.Embedding(4, 2), nn.Bidirectional(nn.GRU(2)), nn.BatchNormalization()])
    sequence(np.ones((1, 3), "int32"))
    kept = nn.Sequential([nn.LSTM(1, stateful=True)])
    kept(np.ones((1, 2, 1), "float32"))
    found = {
        "dense": trained(),
        "branches": nn.Model(a, nn.Flatten()(nn.Add()([shared(a), shared(shared(a))]))),
        "sequence": sequence,
        "kept": kept,
        "prepared": prepared(),
        "image": nn.Sequential([nn.Input((4, 4, 1)), nn.Conv2D(1, 2), nn.MaxPool2D(2), nn.Reshape((-1,))]),
    }
    files = {f"{name}.pynn": saved(model) for name, model in found.items()}
    if importlib.util.find_spec("onnx"):
        import pynn.onnx

        files["network.pynn"] = saved(pynn.onnx.loads(next(iter(networks().values()))))
    return files


def prepared() -> Any:
    """Return a model with preprocessing in its file."""
    from pynn.io.columns import Chain, Columns, Encode, Impute, Standardize
    from pynn.io.preprocessing import Preprocessing

    numbers = Chain([Impute([1.0, 2.0]), Standardize(np.zeros(2), np.ones(2))], 2)
    words = Encode([["a", "b", None], np.array([1.0, 2.0])], True, [0, -1], 0.0, np.full(2, np.nan))
    model = nn.Sequential([nn.Input((6,)), nn.Dense(1)])
    step = Columns([([0, 1], numbers), ([3, 2], words)], 4)
    object.__setattr__(model, "_preprocessing", Preprocessing(step, ["p", "q", "r", "s"]))
    return model


def fit_on(path: Path) -> Any:
    """Go on from a checkpoint with the model of :func:`resumed`."""
    model, before = resumed()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(*DATA, batch_size=4, epochs=2, verbose=0, callbacks=stops(), resume=path)
    after = model.get_weights()
    restore(model, before)
    return after


DATA = np.linspace(-1, 1, 48, dtype="float32").reshape(12, 4), np.arange(12) % 3


def stops() -> list[Any]:
    """Return callbacks that have states."""
    train = pynn.train
    return [train.EarlyStopping("loss", patience=3), train.ReduceLROnPlateau("loss", patience=2)]


def fresh() -> Any:
    """Return a model that can be trained, built."""
    model = nn.Sequential([nn.Input((4,)), nn.Dense(3), nn.BatchNormalization(), nn.Dense(3, activation="softmax")])
    model.compile(pynn.optim.SGD(0.1, momentum=0.9), "cross_entropy", ["accuracy"], seed=2)
    model.build((None, 4))
    return model


@functools.cache
def resumed() -> tuple[Any, dict[str, Any]]:
    """Return a model and its state."""
    import tempfile

    model = fresh()
    with tempfile.TemporaryDirectory() as folder:
        for name, data in checkpoints().items():  # so that all is made that a training makes
            Path(folder, name).write_bytes(data)
            model.fit(*DATA, batch_size=4, epochs=2, verbose=0, callbacks=stops(), resume=Path(folder, name))
    return model, state(model)


def state(model: Any) -> dict[str, Any]:
    """Return the weights, what the optimizer keeps, and what counts and tells the rate."""
    trainer = model._trainer
    arrays = {name: array.copy() for name, array in _arrays(model).items()}
    rate = float(trainer.optimizer.learning_rate)
    return {**arrays, ".": [trainer.slots.get("step"), trainer.epochs, rate]}


def restore(model: Any, values: dict[str, Any]) -> None:
    """Undo what changed :func:`state`."""
    trainer = model._trainer
    step, trainer.epochs, trainer.optimizer.learning_rate = values["."]
    trainer.slots.set(step=step)
    trainer.optimizer.iterations = step
    for name, array in _arrays(model).items():
        array[...] = values[name]


def _arrays(model: Any) -> dict[str, np.ndarray]:
    from pynn.io.training import training_tensors

    told = training_tensors(model._trainer)
    kept = {f"kept/{name}": array for name, array in told.items() if not name.startswith("step/")}
    return {**{name: weight.view() for name, weight in model.named_parameters()}, **kept}


@functools.cache
def checkpoints() -> Files:
    """Return checkpoints between and within epochs."""
    import tempfile

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for every in (2, 3):
            model = fresh()
            keep = pynn.train.ModelCheckpoint(f"{folder}/{every}", every_batches=every, keep_last=2)
            model.fit(*DATA, batch_size=4, epochs=1, verbose=0, callbacks=[*stops(), keep])
            for path in Path(folder, str(every)).iterdir():
                found[f"{every}-{path.name}"] = path.read_bytes()
    return found


@functools.cache
def language() -> Files:
    """Return a language model with its tokenizer."""
    tokenizer = pynn.text.Tokenizer("char").fit("hello")
    model = nn.Sequential([nn.Embedding(4, 4), nn.LSTM(3, return_sequences=True), nn.Dense(4)])
    model.build((1, 1))
    return {"language.pynn": saved(model, metadata={"tokenizer": tokenizer.to_config()})}


def same_model(model: Any) -> Any:
    """Return what a model is, for comparison."""
    from pynn.io.model_file import contents

    if not model.built:  # a file may say that it is not
        return None
    tensors, texts = contents(model)
    return {name: array.copy() for name, array in tensors.items()}, texts["architecture"], texts.get("training")


# Files of others


@functools.cache
def foreign() -> Any:
    """Return the model that others' weights are for."""
    model = nn.Sequential([nn.Input((4,)), nn.Dense(3), nn.BatchNormalization(), nn.Dense(2)])
    model.build((None, 4))
    return model


def weights() -> list[np.ndarray]:
    """Return its weights."""
    return [weight.copy() for weight in foreign().get_weights()]


KERAS = {"dense": [(4, 3), (3,)], "batch_normalization": [(3,)] * 4, "dense_1": [(3, 2), (2,)]}


@functools.cache
def hdf5() -> Files:
    """Return files as Keras writes them, plain and packed."""
    import h5py

    files = {}
    for kind, options in (("plain", {}), ("gzip", {"compression": "gzip", "chunks": True})):
        content = io.BytesIO()
        with h5py.File(content, "w") as file:
            for layer, shapes in KERAS.items():
                group = file.create_group(f"layers/{layer}/vars")
                group.attrs["name"] = layer
                for i, shape in enumerate(shapes):
                    group.create_dataset(str(i), data=np.full(shape, 0.5, "float32"), **options)
            file.create_group("optimizer/vars").create_dataset("0", data=np.int64(3))
        files[f"{kind}.weights.h5"] = content.getvalue()
    return files


def zipped(members: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return an archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def keras() -> Files:
    """Return archives as Keras writes them."""
    texts = {"metadata.json": b'{"keras_version": "3.9.0"}', "config.json": b'{"class_name": "Sequential"}'}
    return {
        f"{method}.keras": zipped({**texts, "model.weights.h5": data}, method)
        for method, data in zip((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED), hdf5().values(), strict=True)
    }


@functools.cache
def torch() -> Files:
    """Return weights as PyTorch writes them."""
    from safetensors.numpy import save

    arrays = {"0.weight": (3, 4), "0.bias": (3,), "2.weight": (2, 3), "2.bias": (2,)}
    norm = dict.fromkeys(("1.weight", "1.bias", "1.running_mean", "1.running_var"), (3,))
    tensors = {name: np.full(shape, 0.5, "float32") for name, shape in {**arrays, **norm}.items()}
    tensors["1.num_batches_tracked"] = np.array(3, "int64")
    halves = {name: a.astype("float16") if a.dtype.kind == "f" else a for name, a in tensors.items()}
    return {"net.safetensors": save(tensors, {"format": "pt"}), "half.safetensors": save(halves)}


@functools.cache
def networks() -> Files:
    """Return networks of ONNX."""
    import pynn.onnx

    chains = {
        "dense": [nn.Input((4,)), nn.Dense(3, activation="relu"), nn.BatchNormalization(), nn.Dense(2)],
        "image": [nn.Input((4, 4, 1)), nn.Conv2D(2, 2, padding="same"), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(2)],
        "sequence": [nn.Input((3, 2)), nn.LSTM(2, return_sequences=True), nn.GRU(2)],
    }
    return {
        f"{name}.onnx": pynn.onnx.to_model(nn.Sequential(chain)).SerializeToString() for name, chain in chains.items()
    }


def run_network(path: Path) -> Any:
    """Load a network and run it on ones, where its inputs are small."""
    import pynn.onnx

    network = pynn.onnx.load(path, max_bytes=1 << 20)
    shapes = [[d if isinstance(d, int) else 2 for d in (sizes or [2])] for _, _, sizes in network._plan.inputs]
    if all(len(shape) < 7 and np.prod(shape, dtype=object) < 4096 for shape in shapes):
        inputs = [np.ones(s, dtype) for s, (_, dtype, _) in zip(shapes, network._plan.inputs, strict=True)]
        with contextlib.suppress(DataError, DTypeError, ShapeError):  # the file was read
            return network.run(*inputs)
    return None


# Words and texts


WORDS = ["king", "queen", "né", "漢字", "the"]


@functools.cache
def vectors() -> Files:
    """Return vectors in every layout."""
    import tempfile

    table = np.linspace(-1, 1, 15, dtype="float32").reshape(5, 3)
    wv = pynn.text.KeyedVectors(WORDS, table)
    with tempfile.TemporaryDirectory() as folder:
        for binary in (False, True):
            wv.save_word2vec_format(f"{folder}/{binary}", binary)
        text, packed = (Path(folder, name).read_bytes() for name in ("False", "True"))
    glove = text.partition(b"\n")[2]
    return {"a.txt": text, "b.bin": packed, "c.txt": glove, "d.gz": gzip.compress(text), "e.gz": gzip.compress(packed)}


@functools.cache
def word2vec() -> Files:
    """Return models of word vectors."""
    import tempfile

    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for hs in (False, True):
            model = pynn.text.Word2Vec(vector_size=4, min_count=1, hs=hs, negative=0 if hs else 3, seed=1)
            model.fit([WORDS, WORDS[:3]] * 3, epochs=1, verbose=0)
            model.save(f"{folder}/{hs}")
            files[f"{hs}.safetensors"] = Path(folder, str(hs)).read_bytes()
    return files


def same_words(path: Path) -> Any:
    """Load a model of word vectors."""
    model = pynn.text.Word2Vec.load(path)
    return model.words, model.counts, model.wv.vectors, model.epochs_trained


QUESTIONS = b": capitals\nking queen the n\xc3\xa9\nking queen queen king\n: two\nthe king the queen\n"
PAIRS = b"# words\nking,queen,7.5\nking,the,1.25\nthe,queen,2\n"


def word_vectors() -> Any:
    """Return vectors to ask."""
    return pynn.text.KeyedVectors(WORDS, np.linspace(-1, 1, 15, dtype="float32").reshape(5, 3))


@functools.cache
def tokenizers() -> Files:
    """Return tokenizers of words and of characters."""
    import tempfile

    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for level in ("word", "char"):
            pynn.text.Tokenizer(level).fit("to be or not to be é").save(f"{folder}/{level}.json")
            files[f"{level}.json"] = Path(folder, f"{level}.json").read_bytes()
    return files


LINES = "to be or not to be\nthat is the question\r\nné 漢字\n".encode() * 3


def texts() -> Files:
    """Return a text, plain and packed."""
    return {"a.txt": LINES, "b.gz": gzip.compress(LINES), "c.bz2": bz2.compress(LINES), "d.xz": lzma.compress(LINES)}


def corpora() -> Files:
    """Return a corpus, plain and packed."""
    return {**texts(), "e.zip": zipped({"a.txt": LINES})}


# Data sets


def idx(array: np.ndarray, code: int = 8) -> bytes:
    """Return an IDX file."""
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, code, array.ndim]) + shape + array.astype(array.dtype.newbyteorder(">")).tobytes()


def idx_files() -> Files:
    """Return arrays of images, labels and others."""
    plain = {
        "images": idx(np.arange(32, dtype="uint8").reshape(2, 4, 4)), "labels": idx(np.arange(3, dtype="uint8")),
        "reals": idx(np.ones((2, 2), "float32"), 13), "none": idx(np.ones((0, 3), "uint8")),
    }  # fmt: skip
    return {**plain, "images.gz": gzip.compress(plain["images"])}


def mnist_files() -> Files:
    """Return an archive that holds the four files of a small MNIST, each packed."""
    files = {}
    for part in ("train", "t10k"):
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(np.zeros((2, 28, 28), "uint8")), 1, mtime=0)
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx(np.arange(2, dtype="uint8")), 1, mtime=0)
    return {"train-labels-idx1-ubyte.gz": files["train-labels-idx1-ubyte.gz"]}


def read_mnist(path: Path) -> Any:
    """Read the four files, of which one is given."""
    for part in ("train", "t10k"):
        for name, data in (
            (f"{part}-images-idx3-ubyte.gz", gzip.compress(idx(np.zeros((2, 28, 28), "uint8")), 1, mtime=0)),
            (f"{part}-labels-idx1-ubyte.gz", gzip.compress(idx(np.arange(2, dtype="uint8")), 1, mtime=0)),
        ):
            if not (path.parent / name).exists():
                (path.parent / name).write_bytes(data)
    return pynn.datasets.mnist(path.parent)


SMALL_RECORDS = 2


@functools.cache
def cifar_parts() -> Files:
    """Return the files of a small CIFAR-10, of which the digests are known: see :func:`small_sizes`."""
    from pynn.datasets import cifar

    rng = np.random.default_rng(0)
    parts = {}
    for name in cifar.BATCHES:
        records = rng.integers(0, 256, (SMALL_RECORDS, cifar.RECORD_BYTES), "uint8")
        records[:, 0] %= 10
        parts[name] = records.tobytes()
    return parts


def tarred(members: Files, form: int = tarfile.USTAR_FORMAT) -> bytes:
    """Return a tar archive."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


def cifar_files() -> Files:
    """Return archives of them."""
    plain = tarred({f"cifar-10-batches-bin/{name}": data for name, data in cifar_parts().items()})
    return {"cifar-10-binary.tar.gz": gzip.compress(plain, 1), "a.tar": plain}


def read_cifar(path: Path) -> Any:
    """Read an archive, or a folder in which one of the six files is given."""
    if path.suffix != ".bin" and path.suffixes[-2:] != [".bin", ".xz"]:
        return pynn.datasets.cifar10(path)
    for name, data in cifar_parts().items():
        if name not in (path.name, path.stem):
            (path.parent / name).write_bytes(data)
    return pynn.datasets.cifar10(path.parent)


def cifar_single() -> Files:
    """Return one of the six files, plain and packed."""
    name, data = next(iter(cifar_parts().items()))
    return {name: data, f"{name}.xz": lzma.compress(data)}


REVIEWS = {f"aclImdb/{part}/{side}/{i}_{i}.txt": f"a film é {i}".encode()
           for part in ("train", "test") for side in ("neg", "pos") for i in range(2)}  # fmt: skip


def review_files() -> Files:
    """Return archives of reviews."""
    plain = tarred(REVIEWS)
    pax = tarred({**REVIEWS, "x" * 200: b"x"}, tarfile.PAX_FORMAT)
    return {"a.tar": plain, "b.tar.gz": gzip.compress(pax, 1), "c.tar.xz": lzma.compress(plain, preset=0),
            "d.tar": tarred({**REVIEWS, "y" * 300: b"y"}, tarfile.GNU_FORMAT)}  # fmt: skip


def keras_reviews() -> Files:
    """Return Keras's file of ids."""
    rows = np.empty(2, object)
    rows[:] = [[1, 2, 3], [4, 500, 70_000]]
    arrays = {"x_train": rows, "x_test": rows, "y_train": np.array([0, 1]), "y_test": np.array([1, 0])}
    members = {}
    for name, array in arrays.items():
        content = io.BytesIO()
        np.save(content, array, allow_pickle=True)
        members[f"{name}.npy"] = content.getvalue()
    return {"imdb.npz": zipped(members)}


def read_reviews(path: Path) -> Any:
    """Read Keras's file, without a cache from before."""
    return importlib.import_module("pynn.datasets.imdb")._from_keras(path)


def read_cached(path: Path) -> Any:
    """Read what an earlier call left in the cache, or make it anew: never anything else."""
    from pynn.datasets import cache

    kept = cache._read(path)
    return kept if kept is not None and set(kept) == {"a", "b"} else ARRAYS


ARRAYS = {"a": np.arange(4), "b": np.ones((2, 2), "float32")}


def cached() -> Files:
    """Return a file of the cache."""
    content = io.BytesIO()
    np.savez(content, **ARRAYS)
    return {"cached.npz": content.getvalue()}


def digit_tables() -> Files:
    """Return a table of Kaggle's, plain and packed."""
    header = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    rows = [",".join([str(i), *(str((i * 7 + k) % 256) for k in range(784))]) for i in range(3)]
    plain = "\n".join([header, *rows, ""]).encode()
    return {"train.csv": plain, "crlf.csv": plain.replace(b"\n", b"\r\n"), "train.csv.gz": gzip.compress(plain, 1)}


def read_digit_table(path: Path) -> Any:
    """Read a table of labelled images."""
    from pynn.datasets import kaggle

    return kaggle._read(path, ["label", *kaggle._pixels()])


@functools.cache
def sounds() -> Files:
    """Return sounds of every kind of number."""
    from scipy.io import wavfile

    wave = np.sin(np.arange(40) / 3)
    kinds = {
        "a8": (128 + 100 * wave).astype("uint8"), "b16": (30000 * wave).astype("int16"),
        "c32": (2e9 * wave).astype("int32"), "f32": wave.astype("float32"),
        "s16": (30000 * np.stack([wave, wave], 1)).astype("int16"), "r16": (30000 * wave).astype(">i2"),
    }  # fmt: skip
    files = {}
    for name, samples in kinds.items():
        content = io.BytesIO()
        wavfile.write(content, 8000, samples)
        files[f"{name}.wav"] = content.getvalue()
    return files


def packed_sounds() -> Files:
    """Return sounds that libsndfile reads."""
    import soundfile

    wave, files = np.sin(np.arange(4000) / 30) / 2, {}
    for form, coding in (("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")):
        content = io.BytesIO()
        soundfile.write(content, wave, 8000, format=form, subtype=coding)
        files[f"a.{form.lower()}"] = content.getvalue()
    return files


def spoken() -> Files:
    """Return an archive of spoken digits."""
    return {"fsdd.zip": zipped({f"recordings/{i}_ann_0.wav": sounds()["b16.wav"] for i in range(10)})}


def read_review(path: Path) -> Any:
    """Read a folder of reviews, of which one is given."""
    for name, data in REVIEWS.items():
        place = path.parent / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    (path.parent / "aclImdb/train/pos" / path.name).write_bytes(path.read_bytes())
    return pynn.datasets.imdb_texts(path.parent / "aclImdb")


def read_spoken(path: Path) -> Any:
    """Read a folder of spoken digits, of which one is given."""
    for i in range(1, 10):
        (path.parent / f"{i}_ann_0.wav").write_bytes(sounds()["b16.wav"])
    return pynn.datasets.spoken_digits(path.parent).recordings


def refused_archive(path: Path) -> Any:
    """Name what an archive is that holds no model; it must be refused."""
    try:
        pynn.load(path)
    except DataError as error:
        return path.name in str(error)
    raise AssertionError("an archive was taken for a model")


# What the command line reads


@functools.cache
def asked() -> Any:
    """Return the model that is asked about tables and arrays."""
    model = nn.Sequential([nn.Input((3,)), nn.Dense(2)])
    model.build((None, 3))
    return model


@functools.cache
def seeing() -> Any:
    """Return the model that is asked about images."""
    model = nn.Sequential([nn.Input((4, 4, 3)), nn.Flatten(), nn.Dense(2)])
    model.build((None, 4, 4, 3))
    return model


def read_input(model: Callable[[], Any]) -> Callable[[Path], Any]:
    """Return the reader of ``pynn predict``."""
    from pynn.commands import predict

    return lambda path: predict.read_input(model(), [path])


def tables() -> Files:
    """Return tables of numbers."""
    return {"a.csv": b"a,b,c\n1,2,3\n4.5,-1e3,0\n", "b.tsv": b"1\t2\t3\n4\t5\t6\n", "c.txt": b'"1";2;3\r\n4;5;6\r\n'}


def arrays() -> Files:
    """Return arrays of NumPy."""
    files = {}
    for name, array in (("f4", np.ones((2, 3), "float32")), ("i8", np.asfortranarray(np.ones((2, 3), "int64")))):
        content = io.BytesIO()
        np.save(content, array)
        files[f"{name}.npy"] = content.getvalue()
    return files


@functools.cache
def pictures() -> Files:
    """Return images of some formats."""
    from PIL import Image

    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (5, 6, 3), "uint8"))
    files = {}
    for form in ("png", "jpeg", "gif", "bmp"):
        content = io.BytesIO()
        image.save(content, form)
        files[f"a.{form}"] = content.getvalue()
    return files


def go_on_logging(path: Path) -> Any:
    """Go on with a table of a training, from epoch 1."""
    logger = pynn.train.CSVLogger(path, append=True)
    logger.set_params({"resumed": True, "initial_epoch": 1})
    logger.on_train_begin()
    try:
        logger.on_epoch_end(1, {"loss": 0.5})
    finally:
        logger.on_train_end()
    return path.read_bytes()


def logs() -> Files:
    """Return the table of a training."""
    return {"log.csv": b"epoch,loss\n0,1.5\n1,1.25\n"}


def _fit(path: Path) -> Any:
    from pynn.text.corpus import encode

    found = encode(path, "corpus")
    return found.words, np.array(found.ids)


def _read_info(path: Path) -> Any:
    return pynn.io.read_info(path)


def _onnx(path: Path) -> Any:
    return run_network(path)


READERS = [
    Reader("model", models, lambda path: same_model(pynn.load(path)), "safetensors", whole=True),
    Reader("model, its info", models, _read_info, "safetensors"),
    Reader("checkpoint", checkpoints, fit_on, "safetensors", whole=True, held=lambda: state(resumed()[0])),
    Reader("language model", language, lambda path: same_model(pynn.text.load_language_model(path)[0]), "safetensors"),
    Reader("bytes of a model", models, lambda path: same_model(pynn.io.loads(path.read_bytes())), "safetensors",
           whole=True),
    Reader("Keras, HDF5", hdf5, lambda p: pynn.io.load_keras_weights(foreign(), p, verbose=False), "hdf5",
           held=weights),
    Reader("Keras, zip", keras, lambda p: pynn.io.load_keras_weights(foreign(), p, verbose=False), "zip", held=weights),
    Reader("PyTorch", torch, lambda p: pynn.io.load_torch_weights(foreign(), p, verbose=False), "safetensors",
           held=weights),
    Reader("ONNX", networks, run_network, "protobuf", (DataError, DTypeError, ShapeError)),
    Reader("Word2Vec", word2vec, same_words, "safetensors", whole=True),
    Reader("word vectors", vectors, lambda p: pynn.text.KeyedVectors.load_word2vec_format(p).vectors, "packed table"),
    Reader("analogies", lambda: {"q.txt": QUESTIONS}, lambda p: word_vectors().evaluate_word_analogies(p), "table"),
    Reader("word pairs", lambda: {"p.csv": PAIRS}, lambda p: word_vectors().evaluate_word_pairs(p), "table"),
    Reader("tokenizer", tokenizers, lambda path: pynn.text.Tokenizer.load(path).to_config(), "json"),
    Reader("corpus", corpora, _fit, "packed table"),
    Reader("text", texts, pynn.datasets.text, "packed table"),
    Reader("IDX", idx_files, lambda path: pynn.datasets.idx.read_idx(path), "packed idx"),
    Reader("MNIST", mnist_files, read_mnist, "packed idx"),
    Reader("CIFAR, archive", cifar_files, read_cifar, "packed tar", whole=True),
    Reader("CIFAR, files", cifar_single, read_cifar, "packed ", whole=True),
    Reader("reviews", review_files, pynn.datasets.imdb_texts, "packed tar"),
    Reader("reviews, Keras", keras_reviews, read_reviews, "zip of npy"),
    Reader("cache", cached, read_cached, "zip of npy"),
    Reader("Kaggle digits", digit_tables, read_digit_table, "packed table"),
    Reader("spoken digits", spoken, lambda path: pynn.datasets.spoken_digits(path).recordings, "zip of wav"),
    Reader("review", lambda: {"7_7.txt": b"a film"}, read_review, "table"),
    Reader("spoken digit", lambda: {"0_ann_0.wav": sounds()["b16.wav"]}, read_spoken, "wav"),
    Reader("Keras, zip without weights", lambda: {"a.keras": zipped({"config.json": b"{}"})}, refused_archive, "zip"),
    Reader("WAV", sounds, lambda path: pynn.audio.read_wav(path), "wav"),
    Reader("sound, packed", packed_sounds, lambda path: pynn.audio.read_sound(path)),
    Reader("table of numbers", tables, read_input(asked), "table"),
    Reader("array (.npy)", arrays, read_input(asked), "npy"),
    Reader("image", pictures, read_input(seeing), "png"),
    Reader("CSVLogger", logs, go_on_logging, "table"),
]  # fmt: skip


def claimed(data: bytes) -> str | None:
    """Return the digest that a file of safetensors says it has; None if it says none."""
    try:
        return str(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["digest"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


# Every function that opens or parses files (see places.py): the reader that reaches it, or why it reads none of others.
PLACES: dict[str, str] = {
    "audio.packed:read_sound": "sound, packed",
    "audio.wav:read_wav": "WAV",
    "cli:main": "own: the null device",
    "commands.dialect:records": "table of numbers",
    "commands.images:read_image": "image",
    "commands.predict:_array": "array (.npy)",
    "commands.tables:_picked": "own: what the caller asks for",
    "commands.tables:read_table": "table of numbers",
    "convert.keras_weights:_member": "Keras, zip",
    "convert.keras_weights:_opened": "Keras, HDF5",
    "convert.torch_weights:load_torch_weights": "PyTorch",
    "core.config:_first_line": "own: what the system says of its processors",
    "datasets.cache:_member": "cache",
    "datasets.cache:_read": "cache",
    "datasets.cifar:_from_file": "CIFAR, files",
    "datasets.fetch:_download": "own: pooch compares a SHA-256 before anything is read",
    "datasets.idx:read_idx": "IDX",
    "datasets.imdb:_from_keras": "reviews, Keras",
    "datasets.imdb:_is_keras": "reviews",
    "datasets.imdb:_labels": "reviews, Keras",
    "datasets.imdb:_object_array": "reviews, Keras",
    "datasets.imdb_files:_files": "review",
    "datasets.kaggle:_read": "Kaggle digits",
    "datasets.spoken_digits:_files": "spoken digit",
    "datasets.spoken_digits:_from_archive": "spoken digits",
    "datasets.unpack:archive": "CIFAR, archive",
    "datasets.unpack:unpacked": "text",
    "detect:_archive": "Keras, zip without weights",
    "files:_open_existing": "own: it writes",
    "io.container:checked_json": "model",
    "io.container:read": "model",
    "io.container:unpack": "model",
    "io.model_file:_checked_metadata": "own: it writes",
    "io.model_file:_opened": "model, its info",
    "io.model_file:texts_of": "model",
    "models:load": "model",
    "models:loads": "bytes of a model",
    "nn.copies:_of_bytes": "own: a copy within the process, or what a pickle of the program's own holds",
    "npy:read_header": "array (.npy)",
    "npy:read_array": "array (.npy)",
    "npy:read_npy": "array (.npy)",
    "onnx.importer:load": "ONNX",
    "onnx.reader:read": "ONNX",
    "recipes.reviews:_keras": "own: it asks only which kind of file is there",
    "text.corpus:_Ids.done": "own: its temporary file",
    "text.corpus:_from_zip": "corpus",
    "text.corpus:_opened": "corpus",
    "text.evaluation:_lines": "analogies",
    "text.tokenizer:Tokenizer.load": "tokenizer",
    "text.vector_files:_opened": "word vectors",
    "text.vector_files:_plausible": "word vectors",
    "text.word2vec_file:load": "Word2Vec",
    "train.callbacks:CSVLogger._rows": "CSVLogger",
    "train.callbacks:CSVLogger.on_train_begin": "own: it writes",
    "train.resume:read": "checkpoint",
}


def small_sizes(put: Callable[[Any, str, Any], None] = setattr) -> None:
    """Make the library's limits of size and the official data sets small, by a function like setattr."""
    from pynn.convert import keras_weights
    from pynn.datasets import cifar, idx, unpack

    imdb = importlib.import_module("pynn.datasets.imdb")  # the package has a function of that name
    for module, name in ((unpack, "LARGEST"), (idx, "LARGEST"), (imdb, "LARGEST"), (keras_weights, "SIZE_LIMIT")):
        put(module, name, 1 << 26)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in cifar_parts().items()}
    if importlib.util.find_spec("PIL"):
        from PIL import Image

        put(Image, "MAX_IMAGE_PIXELS", 1 << 22)
    put(cifar, "RECORDS", SMALL_RECORDS)
    put(cifar, "BATCHES", digests)


def reprint(value: Any) -> str:
    """Return a digest of what a reader returned."""
    found = hashlib.sha256()

    def visit(inner: Any) -> None:
        if isinstance(inner, np.ndarray):
            found.update(f"{inner.dtype}{inner.shape}".encode())
            visit(inner.tolist()) if inner.dtype == object else found.update(np.ascontiguousarray(inner).tobytes())
        elif isinstance(inner, dict):
            for key in sorted(inner, key=str):
                found.update(repr(key).encode("utf-8", "surrogatepass"))
                visit(inner[key])
        elif isinstance(inner, (list, tuple)):
            found.update(b"[")
            for part in inner:
                visit(part)
        else:
            found.update(repr(inner).encode("utf-8", "surrogatepass"))

    visit(value)
    return found.hexdigest()


__all__ = ["PLACES", "READERS", "Reader", "claimed", "reprint", "small_sizes"]
