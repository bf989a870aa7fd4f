"""Measurements of pynn: its kernels and steps (pytest-benchmark) and a comparison with its peers (bench.peers)."""

import sys
from pathlib import Path

# An installed pynn goes before the source tree, which holds no compiled part unless it was built in place.
_root = str(Path(__file__).resolve().parent.parent)
for _entry in ("", _root):
    if _entry in sys.path:
        sys.path.remove(_entry)
sys.path.append(_root)
