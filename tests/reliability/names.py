"""Models whose names are hostile, through every writer; what is written is read again by a strict tool.

    python tests/reliability/names.py --models 300 --seed 1

C is compiled with all warnings as errors and trigraphs on, Python is compiled and run, ONNX is checked and run by ONNX's
own checker, SVG is parsed as XML, HTML is balanced and holds no element or attribute that a name brought, CSV gives the
same cells again, and what is shown in a terminal has no control characters.
"""

# ruff: noqa: E501  (tables of names)
from __future__ import annotations

import argparse
import csv
import html.parser
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn

NAMES = (
    '"', "'", "\\", "\n", "\r", "*/ int x; /*", "*/", "/*", "//", "\\\n#error x", "??/\n#error x", "??/", "??=error", '"; system("ls"); "',
    "'''", '"""', '"""\nimport os\n"""', "{x}", "{0}", "%s", "%n", "$(ls)", "`ls`", "=cmd|' /C calc'!A0", "@SUM(1)", "-1+1", "\t=1",
    "<script>alert(1)</script>", "<b>", "&amp;", "&lt;", "]]>", "--><x>", '" onload="x', "' onclick='x", "\x1b[31m", "\x1b]0;x\x07", "\x00",
    "\u202e", "\u2028", "\u2066", "\x85", "\x7f", "\ufffe", "é", "漢字", "😀", "a" * 3000, " ", "a b", "a,b", "a;b", "a\tb", "int", "for", "class",
    "None", "__init__", "__class__", "0", "1e5", "-", ".", "..", "../x", "/etc/passwd", "CON", "a/b", "a.b", "#define x", "\\u0022", "\\x22",
    "\\N{LATIN SMALL LETTER A}", "_Pragma(\"GCC error \\\"x\\\"\")", "__attribute__((x))", "exit", "main", "main(void){}", "x[", "x(", "weights",
)  # fmt: skip
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
COMPILE = ["gcc", "-std=c99", "-trigraphs", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O0", "-c"]


def model(chance: random.Random) -> Any:
    """Return a small model with hostile names of its own and of its layers, and of their kinds."""
    names = chance.sample(NAMES, 5)
    layers: list[Any] = [nn.Input((4,)), nn.Dense(3, activation="tanh", name=names[0]), nn.Dense(3, name=names[1])]
    if chance.random() < 0.5:
        layers += [own(names[3])(name=names[4])]
    layers += [nn.Activation("softmax", name=names[2])]
    made = nn.Sequential(layers, name=chance.choice(NAMES))
    made.compile("sgd", "mse", ["mae"])
    made.fit(np.ones((4, 4), "float32"), np.ones((4, 3), "float32"), verbose=0)
    return made


def own(name: str) -> Any:
    """Return a class of layers whose name is no identifier."""
    kind = type(name.replace("\0", "") or "x", (nn.Module,), {"forward": lambda self, x: pynn.ops.tanh(x)})
    kind.__qualname__ = kind.__name__
    return kind


def c(made: Any, folder: Path, chance: random.Random) -> None:
    """Compile what is written as C."""
    from pynn.export.c import to_c

    for name in under_a_name(folder, ".c", chance, lambda path: to_c(made, path, chance.random() < 0.5)):
        if name.endswith(".c"):
            words = [*COMPILE, "-o", os.devnull, name]
            done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)
            assert done.returncode == 0, done.stderr[:2000]


def under_a_name(folder: Path, suffix: str, chance: random.Random, write: Callable[[Path], Any]) -> list[str]:
    """Write under a hostile name, which may be refused, or under an ordinary one; return the names of the files."""
    if chance.random() < 0.5:
        try:
            return list(write(folder / f"{file_name(chance)}{suffix}"))
        except pynn.errors.DataError:
            assert not os.listdir(folder)
    return list(write(folder / f"net{suffix}"))


def file_name(chance: random.Random) -> str:
    """Return a hostile name that a file can have."""
    return chance.choice(
        [name for name in NAMES if not set("/\0") & set(name) and 0 < len(name) < 200 and name.strip(". ")]
    )


def python(made: Any, folder: Path, chance: random.Random) -> None:
    """Run what is written as Python."""
    from pynn.export.numpy_file import to_numpy

    written = under_a_name(folder, ".py", chance, lambda path: to_numpy(made, path))
    [path] = [name for name in written if name.endswith(".py")]
    text = Path(path).read_text(encoding="utf-8")
    assert not CONTROL.search(text), "control characters in a program"
    space: dict[str, Any] = {"__name__": "net", "__file__": path}
    exec(compile(text, path, "exec"), space)
    x = np.ones((2, 4), "float32")
    assert np.allclose(space["predict"](x), made.predict(x), atol=1e-5)


def onnx(made: Any, folder: Path, chance: random.Random) -> None:
    """Check what is written as ONNX, and run it."""
    import onnx as package

    import pynn.onnx

    pynn.onnx.export(made, folder / "net.onnx")
    package.checker.check_model(package.load(folder / "net.onnx"), full_check=True)
    x = np.ones((2, 4), "float32")
    assert np.allclose(pynn.onnx.load(folder / "net.onnx").predict(x), made.predict(x), atol=1e-5)


def svg(made: Any, folder: Path, chance: random.Random) -> None:
    """Parse drawings of graphs."""
    x = pynn.tensor(np.ones((1, 4), "float32"), requires_grad=True)
    drawn = pynn.viz.draw_graph((made(x) * x[:, :3]).sum(), names={chance.choice(NAMES): x}).svg
    for element in ET.fromstring(drawn).iter():
        tag = element.tag.rpartition("}")[2]
        assert tag not in ("script", "foreignObject", "image", "a"), tag
        assert not [
            key
            for key in element.attrib
            if key.startswith("on") or (key.endswith("href") and "#" not in element.get(key, ""))
        ]
    assert not CONTROL.search(drawn)


class Balanced(html.parser.HTMLParser):
    """Notes elements; raises for those that a name brought."""

    KNOWN = frozenset({"table", "thead", "tbody", "tfoot", "tr", "th", "td", "caption", "div", "pre", "p", "style", "span", "code", "br",
             "svg", "g", "path", "text", "rect", "line", "title", "small", "b", "em", "strong"})  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
        """Take a beginning."""
        assert tag in self.KNOWN, tag
        assert all(not key.startswith("on") and key not in ("src", "href") for key, _ in attrs), attrs
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Take an end."""
        assert self.open[-1:] == [tag], tag
        self.open.pop()

    def handle_data(self, data: str) -> None:
        """Take a text."""
        self.texts.append(data)


def page(made: Any, folder: Path, chance: random.Random) -> None:
    """Parse what notebooks show."""
    history = made.fit(np.ones((4, 4), "float32"), np.ones((4, 3), "float32"), verbose=0)
    profile = made.profile(np.ones((4, 4), "float32"), np.ones((4, 3), "float32"))
    for shown in (made, history, profile, made.optimizer):
        if hasattr(shown, "_repr_html_"):
            text = shown._repr_html_()
            parser = Balanced()
            parser.feed(text)
            parser.close()
            assert not parser.open
            assert not CONTROL.search(text)


def terminal(made: Any, folder: Path, chance: random.Random) -> None:
    """Look for control characters in what is shown."""
    plain(made).save(folder / "net.pynn", metadata={chance.choice(NAMES): chance.choice(NAMES)})
    lines = io.StringIO()
    kept, sys.stdout = sys.stdout, lines
    try:
        made.summary()
        from pynn.cli import main as command

        assert command(["summary", str(folder / "net.pynn")]) == 0
    finally:
        sys.stdout = kept
    profile = made.profile(np.ones((4, 4), "float32"), np.ones((4, 3), "float32"))
    for text in (lines.getvalue(), repr(plain(made)), str(profile), *map(repr, plain(made).layers)):
        assert not CONTROL.search(text), repr(text)[:500]


def table(made: Any, folder: Path, chance: random.Random) -> None:
    """Read tables again; no cell begins a formula."""
    from pynn.commands.predict import table as predicted

    names = [name for name in chance.sample(NAMES, 8) if name][:3]
    text = predicted(np.eye(3, dtype="float32"), names, True)
    header, *rows = list(csv.reader(io.StringIO(text, newline="")))
    assert [cell.removeprefix("'") for cell in header[1:]] == [name.removeprefix("'") for name in names], (
        header,
        names,
    )
    assert all(len(row) == 4 for row in rows)
    for cell in (*header, *(row[0] for row in rows)):
        assert not re.match(r"[=+@\t\r\n-]", cell) or re.fullmatch(r"[+-]?[0-9.]+(e[+-]?\d+)?", cell), cell
    path = folder / "log.csv"
    logger = pynn.train.CSVLogger(path)
    logger.on_train_begin()
    logger.on_epoch_end(0, {name: 1.5 for name in names})
    logger.on_train_end()
    with open(path, newline="", encoding="utf-8") as file:
        assert next(csv.reader(file)) == ["epoch", *names]
    history = pynn.train.History()
    history.on_epoch_end(0, {name: 1.5 for name in names})
    history.to_csv(path)
    with open(path, newline="", encoding="utf-8") as file:
        assert next(csv.reader(file)) == ["epoch", *names]


def plain(made: Any) -> Any:
    """Return the model without layers of other classes, which no file names."""
    chain = [layer for layer in made.layers if type(layer) in (nn.Dense, nn.Activation)]
    short = nn.Sequential(chain, name=made.name)
    short.build((None, 4))
    return short


def again(made: Any, folder: Path, chance: random.Random) -> None:
    """Load what was saved: the same names and bits."""
    made = plain(made)
    made.save(folder / "net.pynn")
    loaded = pynn.load(folder / "net.pynn")
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in made.layers]
    assert np.array_equal(loaded.predict(np.ones((1, 4), "f4")), made.predict(np.ones((1, 4), "f4")))


def words(made: Any, folder: Path, chance: random.Random) -> None:
    """Write words and read them again."""
    names = list(
        dict.fromkeys(name for name in chance.sample(NAMES, 12) if name.split() == [name] and "\0" not in name)
    )
    wv = pynn.text.KeyedVectors(names, np.arange(3 * len(names), dtype="float32").reshape(-1, 3))
    for binary in (False, True):
        wv.save_word2vec_format(folder / "words", binary)
        found = pynn.text.KeyedVectors.load_word2vec_format(folder / "words")
        assert found.index_to_key == names, (found.index_to_key, names)
        assert np.array_equal(found.vectors, wv.vectors)


WRITERS: dict[str, Callable[[Any, Path, random.Random], None]] = {
    "C": c, "Python": python, "ONNX": onnx, "SVG": svg, "HTML": page, "terminal": terminal, "CSV": table, "model": again,
    "words": words,
}  # fmt: skip


def main() -> int:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--writer", choices=sorted(WRITERS))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    figures: dict[str, list[int]] = {name: [0, 0] for name in WRITERS if arguments.writer in (None, name)}
    warnings.simplefilter("ignore")
    for i in range(arguments.models):
        for name in figures:
            chance = random.Random(f"{arguments.seed}/{i}/{name}")
            made = model(chance)
            with tempfile.TemporaryDirectory() as folder:
                try:
                    figures[name][0] += 1
                    WRITERS[name](made, Path(folder), chance)
                    figures[name][1] += 1
                except Exception as error:
                    print(f"{name}, seed {arguments.seed}/{i}: {type(error).__name__}: {str(error)[:600]}")
    print(json.dumps({name: {"written": tried, "sound": held} for name, (tried, held) in figures.items()}))
    return int(any(tried != held for tried, held in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
