"""Call every op card and every public name with hostile arguments, under limits, and look at what is left behind.

    python tests/reliability/random_arguments.py --calls 20000 --seed 1 [--only conv2d] [--kinds cards,examples,calls]

A call is a small program of a few lines whose arguments were replaced (hostile.py). It ends well, or in an error of
the documented kinds, within limits of time and memory, without a warning of NumPy's, and leaves arguments and
settings as they were. Programs run in processes of their own, so that one that crashes is a finding like any other. A
finding is shrunk to a program that still shows it, which is printed. Exits with 1 if there are findings.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import copy
import gc
import inspect
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, os.path.dirname(__file__))
import common
import hostile
import surface

import pynn
from pynn.core.graph import execute
from pynn.core.tensor import Tensor, tensor

SECONDS = common.SECONDS  # of the processor, for one program
BATCH = 100
HERE = os.path.dirname(os.path.abspath(__file__))
HEAD = f"""import sys; sys.path.insert(0, {HERE!r})
from random_arguments import *
from hostile import *
from pynn import nn, ops"""

# What parameters of these names are given when they are not to be hostile.
PLAIN = {
    "x": "np.ones((4, 3), 'f4')", "y": "np.arange(4) % 2", "model": "model()", "shape": "(3, 2)", "path": "'file'",
    "rate": "0.5", "units": "3", "filters": "2", "kernel_size": "2", "size": "2", "layer": "nn.Dense(2)",
    "y_true": "np.arange(4) % 2", "y_pred": "np.full((4, 2), 0.5, 'f4')", "step": "3", "learning_rate": "0.1",
    "loss": "'mse'", "name": "'name'", "n": "4", "sequences": "[[1, 2], [3]]", "text": "'some text'", "seed": "3",
    "axis": "0", "function": "lambda *a: 1.0", "mode": "'min'",
}  # fmt: skip

GRAVE = (AssertionError, SystemError)  # a wrong shape, an error inside Python: whatever the arguments are

# What is done with an object of these classes, to see what it is worth.
USES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("nn.Sequential", ("r.predict({0})", "r.summary()", "r.fit({0}, {1}, verbose=0)")),
    ("nn.Module", (
        "r({0})", "r(np.ones((2, 3), 'f4'))", "r(np.ones((2, 6, 3), 'f4'))", "r(np.ones((2, 6, 6, 3), 'f4'))",
        "pynn.nn.Sequential([r]).build((None, 6, 6, 3))", "r(np.array([[1, 2]]))", "repr(r)")),
    ("losses.Loss", ("r({1}, {0})", "r(np.arange(4) % 2, np.full((4, 2), 0.5, 'f4'))")),
    ("metrics.Metric", ("r.update({1}, {0}); r.result()",
     "r.update(np.arange(4) % 2, np.full((4, 2), 0.5, 'f4')); r.result()")),
    ("schedules.Schedule", ("r({0})", "r(3)", "[r(i) for i in range(5)]")),
    ("init.Initializer", ("pynn.nn.Dense(2, kernel_initializer=r)(np.ones((2, 3), 'f4'))",)),
    ("optim.Optimizer", ("m = model(); m.compile(r, 'mse'); m.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)",)),
    ("regularizers.L2", ("pynn.nn.Dense(2, kernel_regularizer=r)(np.ones((2, 3), 'f4'))",)),
    ("train.Callback", ("model().fit(np.ones((4, 3)), np.arange(4) % 2, verbose=0, callbacks=[r])",)),
    ("estimators.Perceptron", ("r.fit({0}, {1}).predict({0})",)),
    ("estimators.MLPClassifier", ("r.fit({0}, {1}).predict({0})",)),
    ("estimators.MLPRegressor", ("r.fit({0}, {1}).predict({0})",)),
    ("estimators.Adaline", ("r.fit({0}, {1}).predict({0})",)),
)  # fmt: skip
OPERATORS = (
    "x + {0}", "{0} - x", "x * {0}", "x / {0}", "x ** {0}", "x @ {0}", "x[{0}]", "x[{0}, {1}]", "x == {0}", "x < {0}",
    "{0} @ x",
)  # fmt: skip


class Program(NamedTuple):
    """Lines that use the names of some values, and the values' sources."""

    title: str
    lines: tuple[str, ...]
    values: dict[str, str]

    @property
    def text(self) -> str:
        """The program, to be run as it is."""
        return "\n".join([HEAD, *(f"{name} = {source}" for name, source in self.values.items()), *self.lines])


class Finding(NamedTuple):
    """What a program did wrong: the kind by which findings are the same, and the words."""

    key: str
    text: str


class LateError(BaseException):
    """A program took too long."""


def sample(name: str, index: int) -> tuple[Any, tuple[Any, ...], dict[str, Any], tuple[Any, ...]]:
    """Return (card, operands, attributes, state) of a call that is right, as arrays."""
    card, inputs, attrs, state = surface.executed(name)[index]
    inputs, state = (tuple(x.numpy() if isinstance(x, Tensor) else x for x in xs) for xs in (inputs, state))
    return card, inputs, dict(attrs), state


def run_card(card: Any, inputs: tuple[Any, ...], attrs: dict[str, Any], state: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    """Execute a card with arrays, with gradients, and compare the results with what `infer` says."""
    tensors = tuple(None if x is None else tensor(x) for x in inputs)
    for t in tensors:
        if t is not None and t.dtype.kind == "f" and card.has_gradient:
            t.requires_grad = True
    out = tuple(None if s is None else Tensor.state(tensor(s).numpy()) for s in state)
    outs = execute(card, tensors, attrs, out=out)
    for y in outs:
        if y is not None and y.requires_grad and y.size:
            pynn.core.gradients.gradients(y, tensor(np.ones(y.shape, y.dtype)))
            break
    if not card.mutates:
        for y, spec in zip(outs, card.infer(*tensors, **attrs).outs, strict=False):
            if y is not None and spec is not None:
                assert y.shape == spec.shape == y.numpy().shape, f"{card.name}: {y.shape} instead of {spec.shape}"
                assert all(type(n) is int and n >= 0 for n in y.shape), f"{card.name}: shape {y.shape}"
    return outs


# Programs


def hostile_value(chance: random.Random) -> str:
    return chance.choice(chance.choice(hostile.POOLS))


def card_program(chance: random.Random, only: str) -> Program | None:
    """Return a call of an op card whose operands and attributes are those of a sample but for a few."""
    chosen = [n for n in surface.cards() if only in n]
    if not chosen:
        return None
    name = chance.choice(chosen)
    index = chance.randrange(len(surface.executed(name)))
    _, inputs, attrs, state = surface.executed(name)[index]
    values = {"sampled": f"sample({name!r}, {index})"}
    slots = {f"a{i}": f"sampled[1][{i}]" for i in range(len(inputs))}
    slots |= {key: f"sampled[2][{key!r}]" for key in attrs}
    slots |= {f"s{i}": f"sampled[3][{i}]" for i in range(len(state))}
    for key in chance.sample(list(slots), min(len(slots), chance.choice((1, 1, 1, 2, 3)))):
        if key in attrs:
            slots[key] = hostile_value(chance)
        elif chance.random() < 0.6:
            slots[key] = chance.choice(hostile.TWISTS).format(slots[key])
        else:
            slots[key] = chance.choice((*hostile.ARRAYS, "None"))
    operands = "".join(f"a{i}, " for i in range(len(inputs)))
    given = ", ".join(f"{key!r}: {key}" for key in attrs)
    held = "".join(f"s{i}, " for i in range(len(state)))
    call = f"run_card(sampled[0], ({operands}), {{{given}}}, ({held}))"
    return Program(f"card {name}", (call,), values | slots)


def example_program(chance: random.Random, only: str) -> Program | None:
    """Return the example of a docstring with a few of its arguments replaced."""
    chosen = [path for path in surface.examples() if only in path]
    if not chosen or (path := chance.choice(chosen)) not in EXAMPLES:
        return None
    lines = list(surface.examples()[path])
    spots = surface.places(tuple(lines))
    if not spots:
        return None
    values, taken = {}, []
    for i, start, end, _ in chance.sample(spots, min(len(spots), chance.choice((1, 1, 1, 2, 3)))):
        if any(i == j and start < b and a < end for j, a, b in taken):
            continue
        taken.append((i, start, end))
        values[f"v{len(values)}"] = hostile_value(chance)
    for (i, start, end), name in sorted(zip(taken, values, strict=True), reverse=True):
        lines[i] = lines[i][:start] + name + lines[i][end:]
    return Program(f"example {path}", tuple(lines), values)


def call_program(chance: random.Random, only: str) -> Program | None:
    """Return a call by signature of a public name, of a method of what an example makes, or of an operator."""
    chosen = [path for path in surface.names() if only in path]
    if not chosen:
        return None
    path = chance.choice(chosen)
    thing = surface.names()[path]
    if path == "Tensor":
        lines, values = ["x = pynn.tensor(np.ones((4, 3), 'f4'), requires_grad=True)"], {}
        if chance.random() < 0.5:
            values = {"v0": hostile_value(chance), "v1": hostile_value(chance)}
            return Program("operator", (*lines, "r = " + chance.choice(OPERATORS).format("v0", "v1")), values)
        lines.append("r = " + _method_call("x", Tensor, values, chance))
        return Program("method of Tensor", tuple(lines), values)
    values = {}
    call = f"r = pynn.{path}({_arguments(thing, values, chance)})"
    if not inspect.isclass(thing):
        return Program(f"call {path}", (call,), values)
    lines = [call]
    uses = [use for base, found in USES for use in found if issubclass(thing, surface.names()[base])]
    if uses and chance.random() < 0.7:
        values |= {"u0": chance.choice((PLAIN["x"], hostile_value(chance)))}
        values |= {"u1": chance.choice((PLAIN["y"], hostile_value(chance)))}
        lines.append(chance.choice(uses).format("u0", "u1"))
    if chance.random() < 0.4 and surface.methods(thing):
        lines.append(_method_call("r", thing, values, chance))
    return Program(f"call {path}", tuple(lines), values)


def _method_call(name: str, kind: type, values: dict[str, str], chance: random.Random) -> str:
    method = chance.choice(surface.methods(kind))
    return f"{name}.{method}({_arguments(getattr(kind, method), values, chance)})"


def _arguments(thing: Any, values: dict[str, str], chance: random.Random) -> str:
    """Return arguments for a signature: few hostile ones, plain ones where they are needed."""
    given = []
    amount = chance.choice((0.15, 0.3, 0.6))
    for p in surface.parameters(thing):
        nasty = chance.random() < amount
        if p.kind is p.VAR_POSITIONAL or p.kind is p.VAR_KEYWORD or (p.default is not p.empty and not nasty):
            continue
        name = f"v{len(values)}"
        values[name] = hostile_value(chance) if nasty else PLAIN.get(p.name, PLAIN["x"])
        given.append(name if p.kind is p.POSITIONAL_ONLY else f"{p.name}={name}")
    return ", ".join(given)


MAKERS: dict[str, Callable[[random.Random, str], Program | None]] = {
    "cards": card_program, "examples": example_program, "calls": call_program
}  # fmt: skip
EXAMPLES: tuple[str, ...] = ()  # paths of those that are quick; found by main


def program(seed: int, number: int, kinds: list[str], only: str) -> Program:
    """Return a program by its number."""
    for attempt in range(100):
        chance = random.Random(f"{seed}/{number}/{attempt}")
        found = MAKERS[chance.choice(kinds)](chance, only)
        if found is not None:
            return found
    raise SystemExit(f"nothing is called {only!r}")


# One run of a program, and what is looked at


def look(made: Program) -> Finding | None:
    """Run a program under limits; return what it did wrong."""
    space: dict[str, Any] = {}
    exec(HEAD_NAMES, space)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for name, source in made.values.items():
                space[name] = eval(source, space)
        except Exception:
            return None  # a twist that its array does not take
    copies = {name: _copied(space[name]) for name in made.values}
    before = common.settings()
    error: BaseException | None = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        inside = common.settings()
        begun = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            for line in made.lines:
                exec(compile(line, "<program>", "exec"), space)
        except (Exception, SystemExit, LateError, KeyboardInterrupt) as e:
            error = e
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        took = time.process_time() - begun
        left = [name for name in common.changed(inside) if not _meant(name, made)]
    left += [name for name in common.changed(before) if not _meant(name, made) and name not in left]
    found = _judged(made, error, caught, took)
    if found is None and left:
        found = Finding(f"settings {left}", f"changed the settings {left}; error: {error!r}")
    if found is None:
        other = [n for n in made.values if n != "sampled" and not _same(space[n], copies[n])]
        if other and not _writes(made):
            found = Finding(f"argument {made.title}", f"changed its argument {other}; error: {error!r}")
    _reset()
    return found


HEAD_NAMES = (
    "from random_arguments import *\nimport numpy as np, pynn, io\nfrom pynn import nn, ops\nfrom hostile import *"
)


def _meant(name: str, made: Program) -> bool:
    """Tell whether a program is there to change a setting."""
    text = " ".join(made.lines)
    if name in ("threads", "precision", "target", "isa", "debug"):
        return f"set_{name}" in text or "set_num_threads" in text or "set_precision" in text or "config." in text
    return name == "errstate" and "errstate" in text


def _writes(made: Program) -> bool:
    """Tell whether a program's call is there to write into what it gets."""
    return any(word in line for line in made.lines for word in ("backward", "set_weights", ".fill(", "iter("))


def _judged(made: Program, error: Any, caught: list[Any], took: float) -> Finding | None:
    if isinstance(error, LateError):
        return Finding(f"late {_where(error)}", f"more than {SECONDS} s: {_where(error)}")
    if error is not None and not isinstance(error, Exception):
        return Finding(f"ended {type(error).__name__} {_where(error)}", repr(error))
    if error is not None and not common.documented(error) and not _own(error):
        where = _where(error)
        return Finding(
            f"{'wrong' if type(error) in GRAVE else 'error'} {type(error).__name__} {where}",
            f"{type(error).__name__}: {str(error)[:300]} ({where})",
        )
    for warning in caught:
        if not _documented_warning(warning):
            words = f"{warning.category.__name__}: {str(warning.message)[:200]}"
            place = os.path.relpath(warning.filename, os.path.dirname(pynn.__file__))
            return Finding(
                f"warning {words[:60]} {place}:{warning.lineno}", f"{words} ({warning.filename}:{warning.lineno})"
            )
    return None


def _own(error: BaseException) -> bool:
    """Tell whether an error comes from the program's own lines, or from NumPy or a function that it passed in."""
    frames = [f.filename for f in traceback.extract_tb(error.__traceback__)]
    return not any(os.sep + "pynn" + os.sep in name for name in frames) or frames[-1].endswith("hostile.py")


def _documented_warning(warning: Any) -> bool:
    """Tell whether a warning is one that pynn gives on purpose, or one of a program's own line."""
    if issubclass(warning.category, RuntimeWarning):
        return "encountered in" in str(warning.message)  # NumPy on values that overflow: inf is what they become
    if "should not be used in a boolean context" in str(warning.message):
        return True  # of NotImplemented, a hostile value
    return issubclass(warning.category, UserWarning) or warning.filename in ("<program>", "<string>")


def _where(error: BaseException) -> str:
    """Return the innermost line of pynn."""
    folder = os.path.dirname(pynn.__file__)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(folder)]
    return f"{os.path.relpath(frames[-1].filename, folder)}:{frames[-1].lineno}" if frames else "outside"


def _copied(value: Any) -> Any:
    """Return what shows later whether a value is as it was; None for what is not looked at."""
    if isinstance(value, np.ndarray) and value.nbytes < 1 << 20 and value.dtype.kind != "O":
        return value.copy(), value.flags.writeable, value.strides
    if isinstance(value, (list, dict)):
        with contextlib.suppress(RecursionError):
            return copy.copy(value), None, None
    return None


def _same(value: Any, was: Any) -> bool:
    if was is None:
        return True
    if isinstance(value, np.ndarray):
        array, writeable, strides = was
        return (value.shape, value.dtype, value.flags.writeable, value.strides) == (
            array.shape, array.dtype, writeable, strides
        ) and value.tobytes() == array.tobytes()  # fmt: skip
    return type(value) is type(was[0]) and len(value) == len(was[0]) and all(
        a is b for a, b in zip(value, was[0], strict=True)
    )  # fmt: skip


def _reset() -> None:
    """Take back what a program may have changed on purpose or by a fault, for the next one."""
    from pynn.core.state import state

    for name in list(vars(state)):
        delattr(state, name)
    pynn.set_num_threads(None)
    pynn.set_precision("highest")
    if pynn.config.debug():
        pynn.config.set_debug(False)
    np.seterr(all="warn")
    np.random.seed(0)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@contextlib.contextmanager
def sandbox() -> Iterator[None]:
    """An empty folder, no network, an own end for programs that take long."""

    def late(number: int, frame: Any) -> None:
        raise LateError

    def nowhere(*args: Any, **options: Any) -> Any:
        raise OSError("no network here")

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ |= {"PYNN_DATA": folder, "HOME": folder, "XDG_CACHE_HOME": folder}
        socket.socket.connect = nowhere  # type: ignore[method-assign, assignment]
        socket.create_connection = nowhere
        signal.signal(signal.SIGPROF, late)
        np.random.seed(0)
        sys.setrecursionlimit(1000)
        yield
        os.chdir("/")


# Many programs


def batch(programs: list[tuple[int, Program]]) -> tuple[list[tuple[int, Finding]], int]:
    """Run programs in one process; return the findings, and how many came to their end."""

    def work(tell: Callable[[Any], None]) -> None:
        with sandbox():
            for number, made in programs:
                tell([number])
                common.allow(common.MEMORY)
                found = look(made)
                gc.collect(0)
                if found is not None:
                    tell([number, *found])

    outcome = common.apart(work, seconds=6 * SECONDS)
    findings = [(line[0], Finding(*line[1:])) for line in outcome.lines if len(line) > 1]
    begun = len([line for line in outcome.lines if len(line) == 1])
    if outcome.ended:
        last = programs[begun - 1][0] if begun else programs[0][0]
        frames = [line for line in outcome.errors.splitlines() if os.sep + os.path.join("pynn", "") in line]
        where = " < ".join(line.split("pynn/")[-1].replace('", line ', ":") for line in frames[:2])
        findings.append((last, Finding(f"{outcome.ended} {where}", f"{outcome.ended}\n{outcome.errors[-3000:]}")))
    return findings, max(begun, 1)


def shrunk(made: Program, key: str, tries: int = 60) -> Program:
    """Return a program with fewer lines and simpler values that does the same wrong."""

    def still(other: Program) -> bool:
        nonlocal tries
        tries -= 1
        found, _ = batch([(0, other)])
        return any(finding.key == key for _, finding in found)

    for i in range(len(made.lines) - 1, -1, -1):
        other = made._replace(lines=made.lines[:i] + made.lines[i + 1 :])
        if tries > 0 and other.lines and still(other):
            made = other
    for name in list(made.values):
        if tries > 0 and not any(name in line for line in made.lines):
            other = made._replace(values={k: v for k, v in made.values.items() if k != name})
            if still(other):
                made = other
                continue
        for simple in (
            f"sampled[{'13'[name[0] == 's']}][{name[1:]}]",
            f"sampled[2][{name!r}]",
            "1",
            "None",
            "np.ones((2, 3), 'f4')",
        ):
            if tries <= 0 or made.values[name] == simple or name == "sampled":
                break
            if simple.startswith("sampled") and "sampled" not in made.values:
                continue
            other = made._replace(values={**made.values, name: simple})
            if still(other):
                made = other
                break
    return made


def quick_examples() -> tuple[tuple[str, ...], list[str]]:
    """Return the examples that run well and quickly as they are, and the others."""
    paths = list(surface.examples())

    def work(tell: Callable[[Any], None]) -> None:
        with sandbox():
            for path in paths:
                tell(path)
                begun, space = time.process_time(), {}
                exec(HEAD_NAMES, space)
                with contextlib.suppress(Exception), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    for line in surface.examples()[path]:
                        exec(compile(line, "<program>", "single"), space)
                    if time.process_time() - begun < (20 if common.SANITIZED else 1):
                        tell(True)
                _reset()

    lines = common.apart(work, memory=8 << 30).lines
    good = tuple(path for path, after in zip(lines, [*lines[1:], None], strict=True) if after is True)
    return good, [path for path in paths if path not in good]


def main() -> int:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first program")
    parser.add_argument("--only", default="", help="programs whose name holds this")
    parser.add_argument("--kinds", default="cards,examples,calls")
    parser.add_argument("--no-shrink", action="store_true")
    parser.add_argument("--grave", action="store_true", help="errors of any kind are allowed, and all warnings")
    arguments = parser.parse_args()
    global EXAMPLES
    kinds = arguments.kinds.split(",")
    if "examples" in kinds:
        EXAMPLES, slow = quick_examples()
        print(f"{len(EXAMPLES)} examples; as they are slow or need files, left out: {', '.join(slow)}")
    begun, number, end = time.monotonic(), arguments.first, arguments.first + arguments.calls
    seen: collections.Counter[str] = collections.Counter()
    while number < end:
        programs = [
            (i, program(arguments.seed, i, kinds, arguments.only)) for i in range(number, min(number + BATCH, end))
        ]
        findings, done = batch(programs)
        number += done
        for which, finding in findings:
            if arguments.grave and finding.key.startswith(("warning ", "error ")):
                continue
            seen[finding.key] += 1
            if seen[finding.key] == 1:
                made = dict(programs)[which]
                small = made if arguments.no_shrink else shrunk(made, finding.key)
                print(f"\n== {made.title}, number {which}: {finding.text}\n{small.text}", flush=True)
    for key, count in seen.most_common():
        print(f"{count:6} {key}")
    figures = {"calls": arguments.calls, "findings": sum(seen.values()), "kinds": len(seen), "seed": arguments.seed}
    print(json.dumps({**figures, "seconds": round(time.monotonic() - begun, 1)}))
    return int(bool(seen))


if __name__ == "__main__":
    sys.modules["random_arguments"] = sys.modules["__main__"]
    sys.exit(main())
