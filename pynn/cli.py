"""The command ``pynn``: run a recipe, list the recipes, say what this machine has."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

from pynn._version import __version__

if TYPE_CHECKING:
    from pynn.recipes import Recipe

__all__ = ["main"]

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
SEED_LIMIT = 2**63


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and a way out."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: error: {message}\nhelp: {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, 2 for what the user can mend, 130 after Ctrl-C.

    With ``PYNN_DEBUG=1`` in the environment, errors keep their traceback.
    """
    arguments = _parser().parse_args(argv)
    debug = os.environ.get("PYNN_DEBUG") == "1"
    try:
        arguments.act(arguments)
        sys.stdout.flush()
        return OK
    except KeyboardInterrupt:
        print("pynn: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, head for instance, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (ValueError, TypeError, ArithmeticError, OSError, ImportError) as error:
        if debug:
            raise
        print(f"pynn: error: {error}", file=sys.stderr)
        return USAGE
    except Exception as error:
        if debug:
            raise
        print(f"pynn: internal error: {error!r}\nhelp: PYNN_DEBUG=1 shows where it comes from", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="pynn", description="Neural networks on the CPU: run a named experiment on real data.")
    parser.add_argument("--version", action="version", version=f"pynn {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="run a recipe", description="Train, test and show a recipe.")
    run.set_defaults(act=_run)
    run.add_argument("recipe", metavar="RECIPE", nargs="?", default="digits", help="see pynn list (default: digits)")
    run.add_argument("--data", metavar="DIR", type=Path, help="folder of data files (default: PYNN_DATA, or download)")
    run.add_argument("--epochs", metavar="N", type=_integer(1), help="passes over the data (default: the recipe's)")
    run.add_argument("--batch-size", metavar="N", type=_integer(1), help="items in a batch (default: the recipe's)")
    run.add_argument("--threads", metavar="N", type=_integer(1), help="threads to use (default: the machine's cores)")
    run.add_argument("--seed", metavar="N", type=_integer(0, SEED_LIMIT), default=0, help="seed (default: 0)")
    run.add_argument("--out", metavar="DIR", type=Path, help="write weights, history and pictures into this folder")
    run.add_argument("--json", metavar="FILE", type=Path, help="write the result to this file")
    run.add_argument("--quiet", action="store_true", help="print the result alone")

    commands.add_parser("list", help="list the recipes").set_defaults(act=_list)
    commands.add_parser("info", help="versions, vector units, threads, BLAS").set_defaults(act=_info)
    return parser


def _integer(low: int, limit: int = 2**31) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value < limit:
            bound = f"{low} or more" if value < low else f"less than {limit}"
            raise argparse.ArgumentTypeError(f"expected an integer of {bound}. Received: {text!r}.")
        return value

    return parse


def _run(arguments: argparse.Namespace) -> None:
    from pynn import recipes

    wanted = {name: value for name, value in vars(arguments).items() if name not in ("act", "recipe")}
    recipes.find(arguments.recipe).run(recipes.Options(**wanted))


def _list(arguments: argparse.Namespace) -> None:
    from pynn import recipes

    print(_table(recipes.known()))
    print("\npynn run RECIPE runs one; pynn run --help shows how to change it.")


def _table(recipes: Sequence[Recipe], shows_width: int = 46, data_width: int = 28) -> str:
    rows = [("recipe", ["what it shows"], ["data"], "to expect")]
    for recipe in recipes:
        expected = recipe.measure.text(recipe.expected)
        shows, data = textwrap.wrap(recipe.shows, shows_width), textwrap.wrap(recipe.data, data_width)
        rows.append((recipe.name, shows, data, expected))
    name_width = max(len(row[0]) for row in rows)
    lines = []
    for name, shows, data, expected in rows:
        for i in range(max(len(shows), len(data))):
            cells = (
                f"{name if i == 0 else '':{name_width}}",
                f"{shows[i] if i < len(shows) else '':{shows_width}}",
                f"{data[i] if i < len(data) else '':{data_width}}",
                expected if i == 0 else "",
            )
            lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _info(arguments: argparse.Namespace) -> None:
    import numpy

    from pynn import config

    info = config.info()
    available = ", ".join(cast("list[str]", info["isa_available"]))
    openmp = "with OpenMP" if info["openmp"] else "without OpenMP"
    for name, value in (
        ("pynn", info["version"]),
        ("Python", f"{platform.python_version()} ({platform.system()} {platform.machine()})"),
        ("NumPy", numpy.__version__),
        ("ISA", f"{info['isa']} (available: {available})"),
        ("threads", f"{info['threads']} ({openmp})"),
        ("BLAS", info["blas"]),
    ):
        print(f"{name:8} {value}")
