"""Where the library opens or parses files, found in its sources, and which reader of readers/ reaches each place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pynn

__all__ = ["PLACES", "places"]

# What opens a file or makes something of its bytes, by the end of its name; of these the last two parts count.
CALLS = {
    "open", "os.open", "io.open", "gzip.open", "bz2.open", "lzma.open", "tarfile.open", "Image.open", "archive.open",
    "read_bytes", "read_text", "GzipFile", "BZ2File", "LZMAFile", "ZipFile", "TarFile", "is_zipfile", "opener",
    "h5py.File", "wavfile.read", "ParseFromString", "json.load", "json.loads", "checked_json", "csv.reader",
    "csv.DictReader", "np.load", "np.fromfile", "np.memmap", "np.loadtxt", "np.genfromtxt", "read_header", "read_npy",
    "read_magic", "retrieve", "pickle.load", "pickle.loads", "Unpickler", "container.read", "container.unpack",
    "mmap.mmap", "loadmat", "integer_lists", "ET.parse", "urlopen",
}  # fmt: skip


def places() -> set[str]:
    """Return ``module:function`` of every function that opens or parses a file."""
    root = Path(pynn.__file__).parent
    found = set()
    for path in sorted(root.rglob("*.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        text = path.read_text(encoding="utf-8")
        if any(f"{name.rpartition('.')[2]}(" in text for name in CALLS):
            found |= {f"{module}:{function}" for function in _inside(ast.parse(text), "")}
    return found


def _inside(node: ast.AST, function: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        name = function
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = f"{function}.{child.name}".lstrip(".")
        if isinstance(child, ast.Call) and _reads(child):
            yield function or "module"
        yield from _inside(child, name)


def _reads(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Name):
        names = [call.func.id]
    elif isinstance(call.func, ast.Attribute):
        base = call.func.value
        names = [call.func.attr, f"{base.id if isinstance(base, ast.Name) else ''}.{call.func.attr}"]
        names = names[1:] if call.func.attr == "open" else names
    else:
        return False
    modes = [
        a
        for a in (*call.args[1:2], *(k.value for k in call.keywords if k.arg == "mode"))
        if isinstance(a, ast.Constant)
    ]
    writes = any(isinstance(mode.value, str) and mode.value[:1] in ("w", "a", "x") for mode in modes)
    return bool(CALLS & set(names)) and not writes


# Every function that opens or parses files: the reader that reaches it, why it reads none of others ("own"), or that
# damaged files have not been tried on it ("untried"), and what reads there.
PLACES: dict[str, str] = {
    "audio.packed:read_sound": "sound, packed",
    "audio.wav:read_wav": "WAV",
    "cli:main": "own: the null device",
    "commands.dialect:records": "table of numbers",
    "commands.images:read_image": "image",
    "commands.playground:_points": "playground's points",
    "commands.playground:_rows": "playground's points",
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
    "distributed.failing:_end": "own: it writes",
    "distributed.gang:Gang.tell": "own: what ranks of one program tell each other",
    "distributed.shards:_Column.__init__": "untried: NumPy reads the header and maps the numbers",
    "distributed.watching:_status": "untried: one line that the kernel writes",
    "distributed.watching:outlive": "untried: one line that the kernel writes",
    "export.web:web_data": "own: a copy within the process",
    "files:_open_existing": "own: it writes",
    "io.container:checked_json": "model",
    "io.container:read": "model",
    "io.container:unpack": "model",
    "io.model_file:_checked_metadata": "own: it writes",
    "io.model_file:_opened": "model, its info",
    "io.model_file:texts_of": "model",
    "keras.applications.imagenet_utils:_names": "untried: JSON of classes; its own test damages it",
    "keras.callbacks:BackupAndRestore.restored": "untried: the program's own backup",
    "keras.callbacks:CSVLogger.on_train_begin": "own: it writes",
    "keras.datasets:_california": "untried: a table, or Keras's npz without pickles",
    "keras.datasets:_read_npz": "untried: Keras's npz without pickles",
    "keras.datasets:_reuters_words": "untried: JSON of words",
    "keras.datasets:_reuters": "untried: Keras's npz, read as that of the reviews is",
    "keras.layers.text:_Vocabulary.set_vocabulary": "untried: a token in each line",
    "keras.models:model_from_json": "untried: a text of the caller's",
    "keras.preprocessing.text:tokenizer_from_json": "untried: a text of the caller's",
    "keras.runner:run_script": "own: a script, which is run",
    "keras.saving:_opened": "Keras, model",
    "keras.tensorflow.image:read_file": "own: bytes as they are",
    "keras.tensorflow.training:Saver.restore": "untried: NumPy's npz without pickles",
    "keras.tensorflow.training:latest_checkpoint": "untried: JSON of a name",
    "keras.utils.__init__:_check": "own: it compares a digest",
    "keras.utils.__init__:_unpacked": "untried: an archive, by Python's own zipfile and tarfile",
    "keras.utils.folders:text_dataset_from_directory.read": "own: texts as they are",
    "models:load": "model",
    "models:loads": "bytes of a model",
    "nn.copies:_of_bytes": "own: a copy within the process, or what a pickle of the program's own holds",
    "npy:read_array": "array (.npy)",
    "npy:read_header": "array (.npy)",
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
    "train.loggers:JSONLogger.on_train_begin": "own: it writes",
    "train.resume:read": "checkpoint",
    "viz.widget:_kind": "own: files of the library",
    "web.__init__:_filled": "own: files of the library",
    "web.__init__:_packed": "own: files of the library",
    "web.__init__:bundled": "own: files of the library",
    "web.__init__:joined": "own: files of the library",
    "web.__init__:playground_page": "own: files of the library",
}
