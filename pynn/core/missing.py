"""What to say where the compiled part of pynn is missing or does not fit the machine."""

import importlib.machinery
import os

__all__ = ["explained"]


def explained(error: ImportError, folder: str) -> str | None:
    """Return one line for the failed import of a compiled module below `folder`, pynn's; None if it was of another.

    Examples
    --------
    >>> print(explained(ImportError("libgomp.so.1: cannot open shared object file", name="pynn.core._core"), "pynn"))
    pynn's compiled part does not fit this system: libgomp.so.1: cannot open shared object file. help: install GCC's
    OpenMP library: sudo apt install libgomp1 (Fedora: sudo dnf install libgomp, Alpine: apk add libgomp).
    """
    core = os.path.join(folder, "core")
    if not str(error.name).startswith("pynn.core.") and os.path.dirname(error.path or "") != core:
        return None
    again = "help: take the wheel for this system: pip install --force-reinstall --no-cache-dir pynn-dl."
    if not isinstance(error, ModuleNotFoundError):
        if "libgomp" in str(error):
            again = (
                "help: install GCC's OpenMP library: sudo apt install libgomp1 "
                "(Fedora: sudo dnf install libgomp, Alpine: apk add libgomp)."
            )
        return f"pynn's compiled part does not fit this system: {str(error).rstrip('.')}. {again}"
    found = sorted(name for name in os.listdir(core) if name.startswith("_core.") and name.endswith((".so", ".pyd")))
    if found:
        here = importlib.machinery.EXTENSION_SUFFIXES[0]
        return (
            f"{folder} is compiled for another Python or system: expected _core{here}. "
            f"Received: {', '.join(found)}. {again}"
        )
    return (
        f"{folder} is not compiled for this Python: it is the source, found first because Python was started "
        "beside it. help: start Python in another folder, or compile it here with: pip install -e ."
    )
