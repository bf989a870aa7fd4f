"""Where the library opens or parses files, found in its sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pynn

__all__ = ["places"]

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
