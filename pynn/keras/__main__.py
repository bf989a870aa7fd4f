"""``python -m pynn.keras script.py``."""

from __future__ import annotations

import sys

from pynn.keras.runner import main

__all__ = ["load_ipython_extension"]


def load_ipython_extension(shell):
    """Do what ``%load_ext pynn.keras`` asks for."""
    from pynn.keras.runner import load_ipython_extension as load

    load(shell)


if __name__ == "__main__":
    sys.exit(main())
