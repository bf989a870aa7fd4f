"""Every public name of pynn: what its modules list in ``__all__``, for tests that walk over all of them."""

import importlib
import inspect

import pynn

MODULES = ["pynn", "pynn.ops", *(f"pynn.{name}" for name in pynn._LAZY)]


def public():
    """Yield (module, name, thing) of all, each thing once, where it is at home first."""
    seen = set()
    for module in MODULES:
        found = importlib.import_module(module)
        for name in found.__all__:
            thing = getattr(found, name)
            if not inspect.ismodule(thing) and id(thing) not in seen:
                seen.add(id(thing))
                yield module, name, thing
