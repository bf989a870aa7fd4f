"""Which tests to run for a change: those that cover it, as covering.py wrote down."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

SECONDS = 12.0  # of tests for one change, by the time that they took when they were mapped
MOST = 160  # tests
FILES = 8  # that they are in
LIMIT = 60  # seconds of the processor until a stage of them is ended
# What takes long, starts many processes or is about the tree itself rather than about what the package does.
LEFT_OUT = [
    "bench", "bench_manners", "docs", "gallery", "guides", "process", "threads", "out_of_memory", "memory", "package",
    "rooms", "bytes", "estimators_beside_sklearn", "word2vec_recipes", "autoencoders", "typing", "notebooks", "readers",
    "random_arguments", "guards", "interrupt", "hostile",
]  # fmt: skip
KERNELS = [
    "elementwise", "norm", "losses", "augment", "ops", "rnn", "rnn_kinds", "embedding", "optim_rules", "conv",
    "lengths", "bounds",
]  # fmt: skip
AS_TEXT = {"pynn/export/numpy_kernels.py": "tests/test_export.py"}  # what is copied, and run by these tests as a copy
DEFAULTS = "tests/test_signatures.py::test_defaults_are_those_of_the_docstrings"  # looks at them without a call
# Gradients are checked in float64, the kernels of which are not changed; the other checks find what `values` finds.
KERNEL_TESTS = "not (gradients or errors or threads or program)"
AT_ONCE = 4  # files of tests that one process maps


def map_tests(tree: Path, cache: Path, part: str, names: list[str], environment: dict[str, str]) -> None:
    """Run the tests of files, or the examples of a package, and note what they cover, unless the cache has it."""
    what = "lines" if part == "python" else "functions"
    running: set[subprocess.Popen] = set()

    def run(first: int) -> None:
        folder = cache / f"{part}-{first // AT_ONCE:02d}"
        if (folder / f"{what}.json").exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        files = names[first : first + AT_ONCE]
        print(f"mapping {' '.join(files)}", flush=True)
        paths = [str(tree), str(Path(__file__).parent)]
        settings = {"PYTHONPATH": os.pathsep.join(paths), "MUTATE_CACHE": str(folder), "MUTATE_PART": what}
        pytest = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "covering"]
        limit = ["-o", "timeout=20", "--timeout-method=signal", "--doctest-modules"]
        if part == "csrc":
            limit += ["-k", KERNEL_TESTS]
        variables = os.environ | environment | settings
        with (folder / "log").open("w") as log:
            began = subprocess.Popen(
                [*pytest, *limit, *files], cwd=tree, env=variables, stdout=log, start_new_session=True
            )
            running.add(began)
            began.wait()
            running.discard(began)
            end(began)
        if not (folder / f"{what}.json").exists():
            raise RuntimeError(f"nothing was mapped; see {folder / 'log'}")

    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        list(pool.map(run, range(0, len(names), AT_ONCE)))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for began in list(running):
            end(began)


def end(began: subprocess.Popen) -> None:
    """End a process that was begun as a session, and what its tests have left behind."""
    with suppress(ProcessLookupError):
        os.killpg(began.pid, signal.SIGKILL)


def python_tests(tree: Path) -> list[str]:
    """The test files that changes to Python are tried with."""
    names = sorted(path.stem.removeprefix("test_") for path in (tree / "tests").glob("test_*.py"))
    return ["pynn", *(f"tests/test_{name}.py" for name in names if name not in LEFT_OUT)]


def c_tests(tree: Path) -> list[str]:
    """The test files that changes to kernels are tried with."""
    return [file for name in KERNELS if (tree / (file := f"tests/test_{name}.py")).exists()]


class Covered:
    """The tests of one map."""

    def __init__(self, cache: Path, part: str):
        self.parts = []
        self.functions: dict[int, list[dict]] = defaultdict(list)
        for written in sorted(cache.glob(f"{part}-*/*.json")):
            tests = json.loads(written.read_text())
            self.parts.append((tests, sqlite3.connect(written.with_suffix(".covered"))))
            for test in tests:
                for function in test["functions"] if test["passed"] else ():
                    self.functions[function].append(test)

    def of_lines(self, path: str, lines: Collection[int] | None) -> list[dict]:
        """The tests that run one of these lines of a file, or any line."""
        query = (
            "SELECT context, numbits FROM line_bits JOIN context ON context.id = context_id "
            "JOIN file ON file.id = file_id WHERE context != '' AND file.path LIKE ?"
        )
        found = []
        for tests, lines_of in self.parts:
            for context, bits in lines_of.execute(query, (f"%/{path}",)):
                number = int(context.split("|")[-1])
                if tests[number]["passed"] and (lines is None or any(in_bits(bits, line) for line in lines)):
                    found.append(tests[number])
        return list({test["test"]: test for test in found}.values())

    def all(self) -> list[dict]:
        """Every test that passed."""
        return [test for tests, _ in self.parts for test in tests if test["passed"]]


def in_bits(bits: bytes, line: int) -> bool:
    """Whether a line is one of those that coverage packed into bits."""
    return line // 8 < len(bits) and bool(bits[line // 8] >> line % 8 & 1)


def chosen(tests: list[dict], subject: str, effort: int = 1) -> list[list[str]]:
    """The tests to run, in stages: those of the subject's own file first, of the files that cover most next."""
    files = defaultdict(list)
    for test in sorted(tests, key=lambda test: test["seconds"]):
        files[test["test"].split("::")[0]].append(test)
    order = sorted(files, key=lambda file: (subject not in file, -len(files[file])))[: FILES * effort]
    left, most, count, kept, turn = SECONDS * effort, MOST * effort, 0, defaultdict(list), 0
    while any(turn < len(files[file]) for file in order) and left > 0 and count < most:
        for file in order:
            if turn < len(files[file]) and left > 0 and count < most:
                kept[file].append(files[file][turn]["test"])
                left -= files[file][turn]["seconds"]
                count += 1
        turn += 1
    stages = (order[:1], order[1:3], order[3:8], order[8:])
    return [stage for files in stages if (stage := [test for file in files for test in kept[file]])]
