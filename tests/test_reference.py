"""The reference is true: docstrings say of parameters what signatures say, and every public name has its place."""

from __future__ import annotations

import inspect

import pytest
from docstrings import entries, faults, of_parameter, sections
from public_names import public

PUBLIC = [pytest.param(name, thing, id=f"{module}.{name}") for module, name, thing in public()]


def documented(name, thing):
    """Yield (name, what, whether its parameters must be listed) of a class with its methods, or of a function."""
    if inspect.isclass(thing) and not issubclass(thing, BaseException):
        yield name, thing, True
        for key, method in vars(thing).items():
            if not key.startswith("_") and inspect.isfunction(method):
                yield f"{name}.{key}", method, False
    elif inspect.isfunction(thing):
        yield name, thing, True


@pytest.mark.parametrize(("name", "thing"), PUBLIC)
def test_parameters_are_those_of_the_signature(name, thing):
    """Each on a line of its own, with its type and its default."""
    found = [f"{where}: {fault}" for where, one, wanted in documented(name, thing) for fault in faults(one, wanted)]
    assert not found, "\n".join(found)


def test_faults_are_found():
    def told(a, b: int = 3, c: bool = True, d=None, *, e: float = 1e-7):
        """Do it.

        Parameters
        ----------
        a, b : int
        c : int, default True
        d : str
        e : float, default 1e-6
        f : int
        """

    def silent(a, b=3):
        """Do it."""

    assert sorted(faults(told)) == [
        "a, b share a line",
        "c is annotated bool, but the text says 'int, default True'",
        "d is None by default, but the text says 'str'",
        "e has the default 1e-07, but the text says '1e-6'",
        "f is no parameter",
    ]
    assert list(faults(silent)) == []
    assert list(faults(silent, wanted=True)) == ["no Parameters: ['a', 'b']"]
    [a, b] = inspect.signature(silent).parameters.values()
    assert list(of_parameter(a, "int, default 3")) == ["a has no default, but the text says ', default 3'"]
    assert list(of_parameter(a, "")) == ["a has no type"]
    assert list(of_parameter(b, "int, optional")) == ["b has the default 3, but the text says 'int, optional'"]
    assert list(of_parameter(b, "int, default 3")) == []
    assert [entry.names for entry in entries(sections(told.__doc__)["Parameters"])][:2] == [["a", "b"], ["c"]]


def test_the_walk_sees_the_library():
    kinds = [inspect.isclass(p.values[1]) for p in PUBLIC]
    assert sum(kinds) > 150
    assert len(kinds) - sum(kinds) > 220
