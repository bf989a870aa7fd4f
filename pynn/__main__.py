"""``python -m pynn`` is the command ``pynn``."""

from __future__ import annotations

import sys

from pynn.cli import main

if __name__ == "__main__":
    sys.exit(main())
