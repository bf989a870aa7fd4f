"""Mutation testing: small changes to the code, and whether the tests notice.

    python tests/reliability/mutate --seed 1 --count 40                  Python
    python tests/reliability/mutate --seed 1 --count 0 --kernels 40      kernels, as plain C compiles them
    python tests/reliability/mutate --only pynn/train --only pynn/nn

Works on a copy of the tree in build/mutate, where it also keeps which tests cover what (delete it after a change of
the code) and a journal, so that a run that was stopped goes on. A change is drawn as a line, then one of its changes;
seed and tree make the same draw. It runs tests that cover the line, quickest first, until one fails; --effort 5 chooses
five times as many, which for --again finds those that a quick choice has missed. What no test
covers has survived; what equivalent.txt lists is left out, with its reason. Ends with 1 below --goal.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from difflib import unified_diff
from fnmatch import fnmatch
from pathlib import Path
from typing import ClassVar

import changes
import covered
import kernels
from runner import Runner
from uses import Uses

ROOT = Path(__file__).parents[3]
IGNORED = shutil.ignore_patterns(".git", ".venv*", "dist", "__pycache__", "*.egg-info", "lib.*")


def tree_copy(cache: Path) -> Path:
    """The copy of the tree that is changed, with its compiled part."""
    tree = cache / "tree"
    if not tree.exists():
        caches = set(map(str, (ROOT / "build").glob("mutate*")))

        def ignored(folder: str, names: list[str]) -> set[str]:
            return IGNORED(folder, names) | {name for name in names if str(Path(folder, name)) in caches}

        shutil.copytree(ROOT, tree, ignore=ignored)
        subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=tree, check=True)
        subprocess.run([sys.executable, "-m", "compileall", "-q", "pynn"], cwd=tree, check=True)
    return tree


def drawn(found: list[changes.Change], texts: dict[str, list[str]], seed: int) -> list[changes.Change]:
    """The changes in the order of a seed: a line, then one of its changes.

    The order is that of hashes, so that a line keeps its place when others come and go.
    """

    def place(change: changes.Change, *more: object) -> bytes:
        line = texts[change.path][change.line - 1].strip()
        return hashlib.sha256(repr((seed, change.path, line, *more)).encode()).digest()

    chosen: dict[tuple[str, int], changes.Change] = {}
    for change in sorted(found, key=lambda change: place(change, change.before, change.after, change.start)):
        chosen.setdefault((change.path, change.line), change)
    return sorted(chosen.values(), key=place)


class Equivalent:
    """The changes that do not change what can be observed, as equivalent.txt lists them."""

    def __init__(self) -> None:
        self.rules = []
        for line in (Path(__file__).parent / "equivalent.txt").read_text().splitlines():
            if line.strip() and not line.startswith("#"):
                self.rules.append([part.strip() for part in line.split(" :: ")])

    def reason(self, path: str, before: str, after: str) -> str:
        """Why a change of one line into another is none, or nothing."""
        for pattern, old, new, reason in self.rules:
            if fnmatch(path, pattern) and (old in before if new == "*" else (old, new) == (before, after)):
                return reason
        return ""


class Trial:
    """Tries changes of one kind of source."""

    part = "python"
    environment: ClassVar[dict[str, str]] = {}

    def __init__(self, tree: Path, cache: Path, effort: int):
        self.tree, self.runner, self.effort = tree, Runner(tree, cache / "log"), effort
        covered.map_tests(tree, cache, self.part, covered.python_tests(tree), {})
        self.covered = covered.Covered(cache, self.part)
        self.uses = Uses(tree)
        self.stamp = time.time()

    def files(self) -> list[str]:
        """The files that are changed."""
        return changes.python_files(self.tree)

    def changes_of(self, path: str) -> list[changes.Change]:
        """The changes of a file."""
        return changes.changes_of(path, self.text(path))

    def text(self, path: str) -> str:
        return (self.tree / path).read_text(encoding="utf-8")

    def put(self, path: str, text: str) -> None:
        """Write a file, at a time of its own so that no compiled copy is taken for it."""
        (self.tree / path).write_text(text, encoding="utf-8")
        self.stamp += 2
        os.utime(self.tree / path, (self.stamp, self.stamp))

    def tests(self, change: changes.Change) -> list[dict]:
        """The tests that may notice."""
        if change.path in covered.AS_TEXT:
            return [test for test in self.covered.all() if test["test"].startswith(covered.AS_TEXT[change.path])]
        # what runs at import is in no test's name but those that start processes
        found = self.covered.of_lines(change.path, change.lines[2:] if change.at_import else change.lines)
        if not found and change.at_import:
            shown = [self.covered.of_lines(*place) for place in self.uses.of(change).items()]
            found = list({test["test"]: test for tests in shown for test in tests}.values())
        if not found and change.at_import:
            found = self.covered.of_lines(change.path, None) or self.covered.all()
        if change.default:
            found += [test for test in self.covered.all() if test["test"].startswith(covered.DEFAULTS)]
        return found

    def verdict(self, change: changes.Change, also: list[str]) -> dict | None:
        """What became of a change: noticed, survived or timeout, and by which test."""
        text = self.text(change.path)
        if not changes.compiles(change, text):
            return None
        stages = covered.chosen(self.tests(change), Path(change.path).stem, self.effort) if not also else [also]
        self.put(change.path, change.applied(text))
        try:
            return self.tried(stages)
        finally:
            self.put(change.path, text)

    def tried(self, stages: list[list[str]]) -> dict:
        ran = 0
        for tests in stages:
            outcome = self.runner.run(tests, covered.LIMIT * self.effort, **self.environment)
            ran += len(tests)
            if outcome.code is None:
                return {"verdict": "timeout", "by": tests[0], "tests": ran}
            if outcome.code not in (0, 5):
                return {"verdict": "noticed", "by": (outcome.failed or [f"ended with {outcome.code}"])[0], "tests": ran}
        return {"verdict": "survived", "by": "", "tests": ran}

    def unsound(self, tests: list[str]) -> list[str]:
        """Which tests fail without any change, too."""
        return self.runner.run(tests, 1800, first=False, **self.environment).failed if tests else []


class TrialOfKernels(Trial):
    """The same for C: a change is built, and the tests run that call one of the functions that differ."""

    part = "csrc"
    environment: ClassVar[dict[str, str]] = {"PYNN_ISA": "generic"}

    def __init__(self, tree: Path, cache: Path, effort: int):
        functions = cache / "functions.json"  # by their addresses, which are those of the map
        if not functions.exists():
            names = kernels.build_noting(tree)
            covered.map_tests(tree, cache, self.part, covered.c_tests(tree), self.environment)
            functions.write_text(json.dumps(names))
        self.names = json.loads(functions.read_text())
        self.tree, self.runner, self.stamp, self.effort = tree, Runner(tree, cache / "log"), time.time(), effort
        self.covered = covered.Covered(cache, self.part)
        self.assembled = kernels.assembly(tree)
        self.functions = kernels.functions(self.assembled)

    def files(self) -> list[str]:
        return kernels.c_files(self.tree)

    def changes_of(self, path: str) -> list[changes.Change]:
        return kernels.changes_of(path, self.text(path))

    def verdict(self, change: changes.Change, also: list[str]) -> dict | None:
        text = self.text(change.path)
        self.put(change.path, change.applied(text))
        try:
            assembled = kernels.assembly(self.tree)
        finally:
            self.put(change.path, text)
        differ = kernels.changed(self.functions, kernels.functions(assembled)) if assembled else set()
        if not differ:
            return None
        called = [at for at in self.covered.functions if self.names.get(str(at)) in differ]
        tests = list({test["test"]: test for at in called for test in self.covered.functions[at]}.values())
        kernels.build(self.tree, assembled)
        return self.tried(covered.chosen(tests, Path(change.path).stem, self.effort) if not also else [also])

    def unsound(self, tests: list[str]) -> list[str]:
        kernels.build(self.tree, self.assembled)
        return super().unsound(tests)


class Journal:
    """What was tried: a line of JSON each, by the change and the lines round it."""

    def __init__(self, path: Path):
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.entries = {self.key(entry): entry for entry in map(json.loads, lines)}

    @staticmethod
    def key(entry: dict) -> tuple:
        shown = entry["diff"].splitlines()[3:]  # without the numbers of lines, which move
        return entry["path"], *shown

    def add(self, entry: dict) -> None:
        self.entries[self.key(entry)] = entry
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")


def described(change: changes.Change, text: str) -> dict:
    """A change as the lines before and after."""
    before, after = text.splitlines(), change.applied(text).splitlines()
    diff = [line for line in unified_diff(before, after, change.path, change.path, n=1, lineterm="")]
    old, new = ("\n".join(line[1:].strip() for line in diff[2:] if line[0] == sign) for sign in "-+")
    return {"path": change.path, "line": change.line, "old": old, "new": new, "diff": "\n".join(diff)}


def tried(trial: Trial, count: int, options: argparse.Namespace) -> list[dict]:
    """Try changes, or read in the journal what became of them."""
    journal, equivalent = Journal(options.cache / f"{trial.part}.jsonl"), Equivalent()
    wanted = [path for path in trial.files() if not options.only or any(part in path for part in options.only)]
    paths = [path for path in wanted if not any(part in path for part in options.skip)]
    entries: list[dict] = []
    texts = {path: trial.text(path).splitlines() for path in paths}
    for change in drawn([change for path in paths for change in trial.changes_of(path)], texts, options.seed):
        if len(entries) >= count:
            break
        entry = described(change, trial.text(change.path))
        known = journal.entries.get(Journal.key(entry))
        if equivalent.reason(change.path, entry["old"], entry["new"]):
            known = entry | {"verdict": "equivalent", "by": ""}
            count += 1
        elif known is None or known["verdict"] == "unknown" or (options.again and known["verdict"] == "survived"):
            began = time.monotonic()
            result = trial.verdict(change, options.also)
            result = result or {"verdict": "none", "by": "", "tests": 0}  # it does not compile, or is no change
            known = entry | result | {"seconds": round(time.monotonic() - began, 1)}
            journal.add(known)
            if known["verdict"] != "none":
                place = f"{change.path}:{known['line']}"
                print(f"{known['verdict']:9}{known['seconds']:7.1f} s {place} {known['by']}", flush=True)
        if known["verdict"] != "none":
            entries.append(known)
    # a test that fails without a change has noticed nothing
    for test in trial.unsound(sorted({entry["by"] for entry in entries if "::" in entry["by"]})):
        print(f"fails without a change, too: {test}")
        for entry in entries:
            if entry["by"] == test:
                entry["verdict"] = "unknown"
                journal.add(entry)
    return entries


def main() -> int:
    """Try changes, and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=40, help="how many changes to Python")
    parser.add_argument("--kernels", type=int, default=0, help="how many changes to kernels in C")
    parser.add_argument("--only", action="append", default=[], help="files whose path contains this")
    parser.add_argument("--skip", action="append", default=[], help="no files whose path contains this")
    parser.add_argument("--again", action="store_true", help="try those that survived once more")
    parser.add_argument("--also", action="append", default=[], help="a test to run instead of those that cover")
    parser.add_argument("--effort", type=int, default=1, help="how many times as many tests to choose for a change")
    parser.add_argument("--goal", type=float, default=0.0, help="how many must be noticed, in percent")
    parser.add_argument("--cache", type=Path, default=ROOT / "build/mutate", help="where copy, map and journal are")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & ignores it, in the tests that send it too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.cache = options.cache.resolve()
    options.cache.mkdir(parents=True, exist_ok=True)
    tree = tree_copy(options.cache)
    entries = tried(Trial(tree, options.cache, options.effort), options.count, options) if options.count else []
    if options.kernels:
        entries += tried(TrialOfKernels(tree, options.cache, options.effort), options.kernels, options)
    for entry in entries:
        if entry["verdict"] == "survived":
            print(f"\n{entry['diff']}")
    count = Counter(entry["verdict"] for entry in entries)
    total = len(entries) - count["equivalent"] - count["unknown"]
    share = 100 * (count["noticed"] + count["timeout"]) / max(total, 1)
    print(f"\n{total} changes of seed {options.seed}: {share:.1f} % noticed {dict(count)}")
    return int(share < options.goal)


if __name__ == "__main__":
    sys.exit(main())
