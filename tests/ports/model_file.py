"""Reads and writes a model file where pynn is not compiled: on a processor with another order of bytes.

python -P model_file.py TREE
"""

import sys
import types
from pathlib import Path

import numpy as np


def container(tree):
    """Return pynn.io.container without the rest of pynn, which needs its compiled part."""
    for name in ("pynn", "pynn.io"):
        package = types.ModuleType(name)
        package.__path__ = [str(Path(tree, *name.split(".")))]
        sys.modules[name] = package
    from pynn.io import container

    return container


def main(tree):
    """Check values, digest and the bytes of a new file; any error ends in a traceback."""
    module = container(tree)
    path = Path(tree, "tests", "golden", "model-v1.pynn")
    data = path.read_bytes()
    module.verify(data, path.name)
    found = module.unpack(data, path.name)
    begin = 8 + int.from_bytes(data[:8], "little")
    for name, array in found.tensors.items():
        assert array.dtype.isnative, f"{name}: {array.dtype} is not of this processor"
        assert np.abs(array).max() < 100, f"{name}: {array}"
    largest = max(found.tensors, key=lambda name: found.tensors[name].nbytes)
    little = found.tensors[largest].astype(found.tensors[largest].dtype.newbyteorder("<")).tobytes()
    assert little in data[begin:], f"{largest}: other bytes than in the file"
    texts = {key: text for key, text in found.metadata.items() if key != module.DIGEST}
    assert b"".join(module.pack(found.tensors, texts)) == data, "the file is written with other bytes"
    wide = {name: a.astype(np.float64) for name, a in found.tensors.items()}
    again = b"".join(module.pack(wide, texts))
    module.verify(again, "again")
    for name, array in module.unpack(again, "again").tensors.items():
        assert array.dtype == np.float64, name
        assert np.array_equal(array, found.tensors[name]), name
    try:
        module.verify(data[:-1] + bytes([data[-1] ^ 1]), "changed")
    except module.DataError:
        print(f"{sys.byteorder}-endian: {len(found.tensors)} tensors read, written with the same bytes")
    else:
        raise AssertionError("a changed byte is not found")


if __name__ == "__main__":
    main(sys.argv[1])
