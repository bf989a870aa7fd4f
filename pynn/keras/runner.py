"""Run a script whose imports mean pynn: from a command line, and in a notebook."""

from __future__ import annotations

import argparse
import ast
import builtins
import functools
import itertools
import os
import sys
import traceback
import types
from collections.abc import Sequence
from typing import Any

import pynn
from pynn.keras import hook
from pynn.keras import names as dialect
from pynn.keras.names import NotInPynn
from pynn.keras.past import restored

__all__ = ["Limits", "main", "run_script"]

EPOCHS = frozenset({"epochs", "nb_epoch", "nb_epochs", "n_epochs", "num_epochs", "epoch_count", "training_epochs"})
TURNS = frozenset({"epoch", "iteration", "ep"})
_PACKAGE = os.path.dirname(pynn.__file__) + os.sep


class Limits:
    """What is cut short from outside, without a change to the script.

    Parameters
    ----------
    epochs : int, optional
        At most so many passes in every call of fit, and in loops over ``epoch``.
    rows : int, optional
        At most so many rows of the data sets that Keras brings.
    """

    epochs = None
    rows = None


limits = Limits()


class _Shorter(ast.NodeTransformer):
    """Sets numbers of epochs where a script names them: ``epochs = 12``, ``for epoch in range(...)``."""

    def __init__(self, epochs):
        self.epochs = epochs

    def visit_Assign(self, node):
        """Cut ``epochs = 12``."""
        self.generic_visit(node)
        names = [t.id for t in node.targets if isinstance(t, ast.Name)]
        number = isinstance(node.value, ast.Constant) and type(node.value.value) is int
        if number and len(names) == len(node.targets) and all(n.lower() in EPOCHS for n in names):
            constant = node.value
            constant.value = min(constant.value, self.epochs)  # type: ignore[attr-defined]
        return node

    def visit_For(self, node):
        """Cut ``for epoch in range(...)``."""
        self.generic_visit(node)
        target = node.target.id.lower() if isinstance(node.target, ast.Name) else ""
        call = node.iter
        ranged = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ("range", "xrange")
        if ranged and target in TURNS:
            short = ast.Name("__pynn_cut__", ast.Load())
            node.iter = ast.copy_location(ast.Call(short, [call], []), call)
            ast.fix_missing_locations(node)
        return node


def _cut(turns):
    return turns if limits.epochs is None else itertools.islice(turns, limits.epochs)


def _short(function, place):
    """Return a method of a model with at most as many epochs as the runner was told; `place` is their position."""

    @functools.wraps(function)
    def fit(self, *args, **kwargs):
        if limits.epochs is not None:
            most = limits.epochs + int(kwargs.get("initial_epoch", 0) or 0)
            if len(args) > place:
                args = (*args[:place], min(int(args[place]), most), *args[place + 1 :])
            for name in ("epochs", "nb_epoch"):
                if kwargs.get(name) is not None:
                    kwargs[name] = min(int(kwargs[name]), most)
        return function(self, *args, **kwargs)

    return fit


def _shorten():
    """Let models make fewer epochs; returns what was there before."""
    from pynn.keras.training import Training

    before = []
    for name, place in (("fit", 3), ("fit_generator", 2)):
        before.append((Training, name, vars(Training)[name]))
        setattr(Training, name, _short(vars(Training)[name], place))
    return before


def compiled(source: bytes, path: str, epochs: int | None) -> types.CodeType:
    """Return the code of a script, with fewer epochs where it names them."""
    tree = ast.parse(source, path)
    if epochs is not None:
        tree = _Shorter(epochs).visit(tree)
    return compile(tree, path, "exec", dont_inherit=True)


def run_script(path: str, argv: Sequence[str] = (), *, epochs: int | None = None, rows: int | None = None,
               version: str | None = None) -> dict[str, Any]:  # fmt: skip
    """Run a file as ``__main__``; its imports of Keras and TensorFlow are pynn's.

    Parameters
    ----------
    path : str
    argv : sequence of str
        What the script finds behind its name in ``sys.argv``.
    epochs : int, optional
        At most so many passes.
    rows : int, optional
        At most so many rows of data sets.
    version : {"2.2", "2.3", "3"}, optional
        The Keras whose defaults the script counts on; by default 2.3 if it is spelled as scripts were then, else 3.

    Returns
    -------
    dict
        The script's names.
    """
    with open(path, "rb") as file:
        source = file.read()
    code = compiled(source, path, epochs)
    spelled = dialect.guess(ast.parse(source, path))
    if version is None and spelled != "3":
        print(f"pynn.keras: the defaults are those of Keras {spelled}, as the spelling is; --keras 3 for today's",
              file=sys.stderr)  # fmt: skip
    older = dialect.use(version or spelled)
    limits.epochs, limits.rows = epochs, rows
    hook.install()
    longer = [] if epochs is None else _shorten()
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=path, __pynn_cut__=_cut, __builtins__=builtins)
    before = sys.argv, sys.path[0], sys.modules.get("__main__")
    sys.argv, sys.path[0] = [path, *argv], os.path.dirname(os.path.abspath(path))
    sys.modules["__main__"] = module
    try:
        with restored(source):
            exec(code, module.__dict__)
    finally:
        sys.argv, sys.path[0] = before[0], before[1]
        if before[2] is not None:
            sys.modules["__main__"] = before[2]
        limits.epochs = limits.rows = None
        dialect.use(older)
        for owner, name, method in longer:
            setattr(owner, name, method)
    return module.__dict__


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message}\nhelp: {self.prog} --help\n")


def _count(text):
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of 1 or more. Received: {text!r}.")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``python -m pynn.keras [options] script.py [arguments]``; returns the exit status."""
    parser = _Parser(
        prog="python -m pynn.keras",
        description="Run a Keras or TensorFlow 1 script on pynn; no line of it changes.",
    )
    parser.add_argument("--epochs", metavar="N", type=_count, help="at most N epochs, whatever the script says")
    parser.add_argument("--rows", metavar="N", type=_count, help="at most N rows of each part of Keras's data sets")
    parser.add_argument(
        "--keras", metavar="VERSION", choices=dialect.VERSIONS,
        help="whose defaults hold: 2.2, 2.3 or 3 (default: by the spelling of the script)",
    )  # fmt: skip
    parser.add_argument("--threads", metavar="N", type=_count, help="threads to use (default: the machine's cores)")
    parser.add_argument("script", metavar="SCRIPT", help="file to run; options stand before it")
    parser.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help="the script's own arguments")
    given = parser.parse_args(argv)
    if given.threads is not None:
        pynn.set_num_threads(given.threads)
    if not os.path.isfile(given.script):
        parser.error(f"there is no file {given.script!r}")
    try:
        run_script(given.script, given.arguments, epochs=given.epochs, rows=given.rows, version=given.keras)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if os.environ.get("PYNN_DEBUG") == "1":
            raise
        _tell(error, given.script)
        return 1
    return 0


def _tell(error, script):
    """Print where the script went wrong: its own lines, and the error; not the lines of pynn."""
    if isinstance(error, NotInPynn) or str(error).startswith("not in pynn: "):
        print(error, file=sys.stderr)
        return
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_PACKAGE) and "importlib" not in frame.filename
    ]
    print("Traceback (most recent call last):", file=sys.stderr)
    sys.stderr.writelines(traceback.format_list(frames))
    sys.stderr.writelines(traceback.format_exception_only(error))


def load_ipython_extension(shell):
    """Let the cells of a notebook import Keras from pynn: ``%load_ext pynn.keras``."""
    hook.install()


def unload_ipython_extension(shell):
    """Let the cells of a notebook import what is installed."""
    hook.uninstall()
