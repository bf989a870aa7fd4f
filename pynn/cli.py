"""The command ``pynn``: run a recipe, list the recipes, use a saved model, say what this machine has."""

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
from pynn.errors import printable
from pynn.language import LANGUAGES, language

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
    arguments.argv = list(sys.argv[1:] if argv is None else argv)
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
        if debug or _with_others():
            raise
        return _report(error)
    except Exception as error:
        if debug or _with_others():
            raise
        print(f"pynn: internal error: {error!r}\nhelp: PYNN_DEBUG=1 shows where it comes from", file=sys.stderr)
        return FAILED


def _with_others() -> bool:
    """Tell whether other processes compute with this one: an error that goes through ends them too."""
    gang = sys.modules.get("pynn.distributed.gang")
    return gang is not None and gang.known() is not None


def _report(error: Exception) -> int:
    print("pynn: error:", printable(str(error), keep="\n\t"), file=sys.stderr)
    return USAGE


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
    run.add_argument(
        "--seeds", metavar="N", type=_integer(1), default=1, help="run so often, from --seed on; tell means"
    )
    run.add_argument("--out", metavar="DIR", type=Path, help="write weights, history and pictures into this folder")
    run.add_argument("--json", metavar="FILE", type=Path, help="write the result to this file")
    run.add_argument("--checkpoint", metavar="DIR", type=Path, help="save training there, and go on from what is there")
    run.add_argument(
        "--precision",
        choices=("highest", "high", "medium"),
        help="of matrix products, where the processor is faster with it",
    )
    run.add_argument("--ranks", metavar="N", type=_integer(1), help="processes that share the work (needs mpiexec)")
    run.add_argument("--hostfile", metavar="FILE", type=Path, help="machines for them, one a line")
    run.add_argument(
        "--segments", metavar="N", type=_integer(1), help="parts of a batch, which fix the result (default: 8)"
    )
    run.add_argument("--full", action="store_true", help="the larger size of a recipe that has one")
    run.add_argument("--quiet", action="store_true", help="print the result alone")
    run.add_argument("--lang", choices=LANGUAGES, help="language of output and pictures (default: PYNN_LANG, or en)")

    generate = commands.add_parser(
        "generate",
        help="write text with a saved language model",
        description="Go on after a prompt with a language model, such as pynn run char-rnn --out DIR leaves.",
    )
    generate.set_defaults(act=_generate)
    generate.add_argument("model", metavar="MODEL", type=Path, help="model file that holds its tokenizer")
    generate.add_argument("--prompt", metavar="TEXT", default="", help="what to go on after (default: a new line)")
    generate.add_argument("--length", metavar="N", type=_integer(1), default=500, help="tokens to write (default: 500)")
    generate.add_argument(
        "--temperature", metavar="T", type=_temperature, default=0.8, help="0 takes the likeliest token (default: 0.8)"
    )
    generate.add_argument("--seed", metavar="N", type=_integer(0, SEED_LIMIT), default=0, help="seed (default: 0)")

    summary = commands.add_parser("summary", help="show what a model file holds")
    summary.set_defaults(act=_summary)
    summary.add_argument("file", metavar="FILE", type=Path, help="model file")

    card = commands.add_parser("card", help="show the card of a model file, in Markdown")
    card.set_defaults(act=_card)
    card.add_argument("file", metavar="FILE", type=Path, help="model file")
    card.add_argument("--out", metavar="FILE", type=Path, help="file to write (default: print)")

    new = commands.add_parser("new", help="write a small program to begin with")
    new.set_defaults(act=_new)
    new.add_argument("folder", metavar="FOLDER", type=Path, help="made if it is not there; else it has to be empty")
    new.add_argument(
        "--template", choices=("classify", "regress", "images", "text", "sound"), default="classify",
        help="what is to be learnt (default: classify)",
    )  # fmt: skip
    new.add_argument("--lang", choices=LANGUAGES, help="language of the comments (default: PYNN_LANG, or en)")

    predict = commands.add_parser("predict", help="run a saved model on a file of samples")
    predict.set_defaults(act=_predict)
    predict.add_argument("file", metavar="FILE", type=Path, help="model file")
    predict.add_argument(
        "--input", metavar="FILE", type=Path, nargs="+", required=True, help="one .csv or .npy file, images, or sounds"
    )
    predict.add_argument("--output", metavar="FILE", type=Path, help=".csv or .npy file (default: print CSV)")
    predict.add_argument("--batch-size", metavar="N", type=_integer(1), help="samples in a pass")
    tables = predict.add_argument_group("tables", "Found out from all columns, where these do not say it.")
    tables.add_argument(
        "--header", action=argparse.BooleanOptionalAction, help="whether the first line holds the names of the columns"
    )
    tables.add_argument(
        "--columns", metavar="LIST", help="those that the model takes, by name or number: age,height or 2-5,7"
    )
    tables.add_argument(
        "--index", action=argparse.BooleanOptionalAction, help="whether the first column names or counts rows"
    )
    tables.add_argument("--separator", metavar="MARK", help="between cells: one letter, tab, blank or none")
    tables.add_argument("--decimal", choices=(".", ","), help="mark before the fraction of a number")
    tables.add_argument("--encoding", metavar="NAME", help="such as utf-8, utf-16-le or latin-1")
    tables.add_argument(
        "--missing", choices=("error", "mean"), default="error", help="what becomes of gaps (default: error)"
    )
    predict.add_argument("--background", metavar="COLOR", help="behind transparent parts of images: white or #ff8800")

    export = commands.add_parser(
        "export",
        help="write a saved model as C, ONNX, NumPy code or a script for web pages",
        description="Write a saved model for other programs: C99, ONNX, Python with NumPy alone, a script for pages.",
    )
    export.set_defaults(act=_export)
    export.add_argument("file", metavar="MODEL", type=Path, help="model file")
    export.add_argument("--to", choices=("c", "onnx", "numpy", "web"), required=True, help="what to write")
    export.add_argument("--out", metavar="FILE", type=Path, required=True, help="file to write (.c, .onnx, .py or .js)")
    export.add_argument("--step", action="store_true", help="write one time step of recurrent layers in C, with states")
    export.add_argument("--train", action="store_true", help="let a web page go on training the model")
    export.add_argument(
        "--batch-size", metavar="N", type=_integer(1), default=32, help="samples of a step there (default: 32)"
    )
    export.add_argument("--main", action="store_true", help="add a main() that reads CSV to the C file")
    export.add_argument(
        "--input-shape", metavar="SIZES", type=_sizes, nargs="+",
        help="sizes of a sample, of each input, such as none,4: none is left open in an ONNX file",
    )  # fmt: skip

    playground = commands.add_parser(
        "playground",
        help="open a page in which small networks learn",
        description="Write a page in which small networks learn, run by pynn's own kernels, and open it.",
    )
    playground.set_defaults(act=_playground)
    playground.add_argument(
        "--data", metavar="FILE", type=Path,
        help="CSV of points, two columns and a target; with --page letters a text",
    )  # fmt: skip
    playground.add_argument("--lang", choices=("en", "es"), default="en", help="language to begin in (default: en)")
    playground.add_argument(
        "--page", choices=("network", "convolution", "letters", "words", "descent"), default="network",
        help="which page (default: network)",
    )  # fmt: skip
    playground.add_argument("--out", metavar="FILE", type=Path, help="write the page there (.html) and open nothing")

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


def _sizes(text: str) -> tuple[int | None, ...]:
    """Return the sizes in a text such as "none,4"."""
    try:
        sizes = tuple(None if part.strip().lower() == "none" else int(part) for part in text.split(","))
    except ValueError:
        sizes = (0,)
    if not all(size is None or 0 < size < 2**31 for size in sizes):
        raise argparse.ArgumentTypeError(f"expected sizes such as 28,28,1 or none,4. Received: {text!r}.")
    return sizes


def _run(arguments: argparse.Namespace) -> None:
    from pynn import recipes

    language(arguments.lang)
    left_out = ("act", "recipe", "argv", "ranks", "hostfile", "segments", "lang")
    wanted = {name: value for name, value in vars(arguments).items() if name not in left_out}
    recipe = recipes.find(arguments.recipe)
    if arguments.ranks is None and not os.environ.get("PYNN_DISTRIBUTED"):
        for name in ("hostfile", "segments"):
            if getattr(arguments, name) is not None:
                raise ValueError(f"[run] expected --ranks with --{name}. Received: --{name} alone.")
        recipe.run(recipes.Options(**wanted))
        return
    from pynn.commands import ranks

    if not os.environ.get("PYNN_DISTRIBUTED"):
        status = ranks.launch(arguments.argv, arguments.ranks, arguments.hostfile, arguments.segments)
        if status:
            raise SystemExit(status)
        return
    with ranks.places_of(arguments.out, arguments.json) as places:
        recipe.run(recipes.Options(**{**wanted, **places()}))


def _temperature(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of 0 or more. Received: {text!r}.")
    return value


def _generate(arguments: argparse.Namespace) -> None:
    from pynn.commands.generate import run

    run(arguments)


def _card(arguments: argparse.Namespace) -> None:
    from pynn.commands.card import run

    run(arguments.file, arguments.out)


def _new(arguments: argparse.Namespace) -> None:
    from pynn.commands.new import run

    language(arguments.lang)
    run(arguments.folder, arguments.template)


def _summary(arguments: argparse.Namespace) -> None:
    from pynn.commands.summary import run

    run(arguments.file)


def _predict(arguments: argparse.Namespace) -> None:
    from pynn.commands.predict import run
    from pynn.commands.tables import Reading

    reading = Reading(**{name: getattr(arguments, name) for name in Reading.__dataclass_fields__})
    run(arguments.file, arguments.input, arguments.output, arguments.batch_size, reading, arguments.background)


def _export(arguments: argparse.Namespace) -> None:
    from pynn.commands.export import run

    a = arguments
    run(a.file, a.to, a.out, a.main, a.input_shape, a.step, a.train, a.batch_size)


def _playground(arguments: argparse.Namespace) -> None:
    from pynn.commands.playground import run

    run(arguments.data, arguments.lang, arguments.out, arguments.page)


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

    from pynn.core import config, device

    info = config.info()
    available = ", ".join(cast("list[str]", info["isa_available"]))
    units = ", ".join(cast("list[str]", info["matrix_units_available"])) or "none"
    openmp = "with OpenMP" if info["openmp"] else "without OpenMP"
    for name, value in (
        ("pynn", info["version"]),
        ("Python", f"{platform.python_version()} ({platform.system()} {platform.machine()})"),
        ("NumPy", numpy.__version__),
        ("ISA", f"{info['isa']} (available: {available})"),
        ("precision", f"{info['precision']} (units for low precision: {units})"),
        ("threads", f"{info['threads']} ({openmp})"),
        ("BLAS", info["blas"]),
        ("CUDA", device.described()),
    ):
        print(f"{name:10}{value}")
