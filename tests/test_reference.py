"""The reference is true: docstrings say of parameters what signatures say, and every public name has its place."""

from __future__ import annotations

import importlib.util
import inspect
import pydoc
import re
import sys

import pytest
from building import ROOT
from docstrings import entries, faults, of_parameter, sections
from public_names import MODULES, public
from refusals import layers, refused_inputs, refused_settings

import pynn
from pynn import errors, nn

CLASSES = {thing for _, _, thing in public() if inspect.isclass(thing)}
# Bases that have no public name, such as that of fit(), and whose methods are those of public classes.
HIDDEN = {base for cls in CLASSES for base in cls.__mro__ if base.__module__.startswith("pynn")} - CLASSES
PUBLIC = [pytest.param(name, thing, id=f"{module}.{name}") for module, name, thing in public()]
PUBLIC += [pytest.param(base.__name__, base, id=f"{base.__module__}.{base.__name__}") for base in HIDDEN]


def documented(name, thing):
    """Yield (name, what, whether its parameters must be listed) of a class with its methods, or of a function."""
    if inspect.isclass(thing) and not issubclass(thing, BaseException):
        yield name, thing, thing in CLASSES
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


@pytest.mark.parametrize("name", [n for n in nn.__all__ if inspect.isclass(getattr(nn, n))])
def test_layers_have_examples(name):
    assert any(line.startswith(">>> ") for line in sections(getattr(nn, name).__doc__).get("Examples", []))


@pytest.mark.parametrize(("name", "cls"), layers().items())
def test_layers_say_what_they_refuse(name, cls):
    """What is tried and refused stands under Raises: the error, and each setting or kind of name."""
    settings, inputs = refused_settings(cls), refused_inputs(cls)
    told = " ".join(sections(cls.__doc__).get("Raises", []))
    for setting, (error, text) in settings.items():
        assert any(f"{base.__name__} " in f"{told} " for base in error.__mro__ if base is not Exception), setting
        kind = re.search(r"unknown (\w+)\. Received", text)
        words = [rf"\b{setting}\b", r"\ba (setting|parameter) is", *([kind[1]] if kind else [])]
        assert re.search("|".join(words), told), f"{setting}: {text}"
    assert not inputs or "ShapeError" in told
    assert settings or inputs or "Raises" not in sections(cls.__doc__)


def test_fit_says_what_it_refuses_and_shows_itself():
    found = sections(nn.Module.fit.__doc__)
    assert {"ShapeError", "DataError", "RuntimeError", "ValueError", "TypeError"} <= set(found["Raises"])
    assert any(line.startswith(">>> ") for line in found["Examples"])


# Pages


@pytest.fixture(scope="module")
def api():
    """docs/hooks/api.py, which says what stands on a page."""
    if not (ROOT / "docs").is_dir():
        pytest.skip("the documentation is not here")
    spec = importlib.util.spec_from_file_location("docs_api", ROOT / "docs/hooks/api.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages():
    """Return module -> the page of the reference that lists it, as far as the navigation has it."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2].partition("\nhooks:")[0]
    found = {}
    for page in re.findall(r"reference/\w+\.md", navigation):
        for module in re.findall(r"\{\{ api: (\S+) \}\}", (ROOT / "docs" / page).read_text(encoding="utf-8")):
            assert module not in found, f"{module} stands on two pages"
            found[module] = page
    return found


def test_every_public_name_has_a_page(api):
    """The building of the site looks whether it is there, with its signature and all: on_post_build in docs/hooks."""
    found = pages()
    listed = {module: api.listed(module) for module in found}
    everywhere = [thing for things in listed.values() for _, thing in things]
    for module in MODULES:
        assert module in found, f"{module} has no page"
        home = importlib.import_module(module)
        for name in home.__all__:
            thing = getattr(home, name)
            assert inspect.ismodule(thing) or any(thing is one for one in everywhere), f"{module}.{name}"
    assert {"pynn.core.config", "pynn.train.trainable"} <= found.keys()
    for module, things in listed.items():
        for name, thing in things:
            path = api.identifier(name, thing)
            assert path is None or hasattr(sys.modules[path.rpartition(".")[0]], name), path
            assert path is not None or api.constant(module, name, thing).startswith(f"## {name} ")


def test_every_error_has_its_place(api):
    page = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    classes = [n for n in errors.__all__ if inspect.isclass(getattr(errors, n))]
    assert re.findall(r"::: pynn\.errors\.(\w+)", page) == sorted(classes, key=str.lower)


def test_the_page_of_the_command_has_every_part(api):
    told = api.command()
    parts = re.findall(r"(?m)^## pynn (\w+)$", told)
    assert {"run", "list", "info", "predict", "export", "summary", "generate"} <= set(parts)
    for part in parts:
        assert f"usage: pynn {part} " in told
    assert "--input FILE" in told
    assert "reference/command.md" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_help_says_what_is_where():
    text = pynn.__doc__
    for module in MODULES[1:]:
        assert module in text, module
    assert "pynn.config" in text
    assert "pynn list" in text
    assert text.splitlines()[0] in pydoc.render_doc(pynn)
    for module in MODULES:
        assert (importlib.import_module(module).__doc__ or "").strip()


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
