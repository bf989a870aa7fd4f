"""Runs tests in a child of this process, which has read the slow libraries already, but none of the package."""

import gc
import importlib
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

SLOW_TO_IMPORT = [
    "numpy", "scipy.linalg", "scipy.special", "pandas", "matplotlib.pyplot", "sklearn", "onnx", "h5py", "tqdm"
]  # fmt: skip
# Other plugins may import much in every child: hypothesis does.
PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
OPTIONS = [
    "-p", "pytest_timeout", "-p", "no:cacheprovider", "-q", "--doctest-modules", "-o", "timeout=120", "--no-header",
    "--tb=line",
]  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """How a run of tests ended: `code` is pytest's, negative for a signal, None where time was up."""

    code: int | None
    failed: list[str]


class Chosen:
    """A plugin that keeps the tests that were asked for, in their order, and remembers what failed.

    Some names of tests cannot be given to pytest, and a change can take tests away; both is no failure here.
    """

    def __init__(self, tests: list[str]) -> None:
        self.places = {test: place for place, test in enumerate(tests)}
        self.failed: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        places = {item: self.places.get(item.nodeid, self.places.get(item.nodeid.split("[")[0])) for item in items}
        items[:] = sorted((item for item in items if places[item] is not None), key=places.get)

    def pytest_runtest_logreport(self, report):
        if report.failed and report.nodeid not in self.failed:
            self.failed.append(report.nodeid)

    def pytest_collectreport(self, report):
        if report.failed:
            self.failed.append(report.nodeid)


class Runner:
    """Runs tests of a tree; one at a time."""

    def __init__(self, tree: Path, log: Path):
        self.tree, self.log = tree, log
        for name in SLOW_TO_IMPORT:
            with suppress(ImportError):
                importlib.import_module(name)
        gc.collect()
        gc.freeze()  # what is there already is no garbage of a child

    def run(self, tests: list[str], limit: int, first: bool = True, **environment: str) -> Outcome:
        """Run tests, until the `first` one fails or all, for `limit` seconds of the processor at most."""
        receive, send = os.pipe()
        child = os.fork()
        if not child:
            self.work(tests, first, limit, send, environment)
        os.close(send)
        ends = time.monotonic() + 10 * limit
        done, status = 0, 0
        try:
            while not done and time.monotonic() < ends:
                done, status = os.waitpid(child, os.WNOHANG)
                if not done:
                    time.sleep(0.02)
        finally:
            with suppress(ProcessLookupError):  # what the tests started, too
                os.killpg(child, signal.SIGKILL)
        if not done:
            os.waitpid(child, 0)
        failed = os.read(receive, 60000).decode().splitlines()
        os.close(receive)
        code = os.waitstatus_to_exitcode(status) if done else None
        return Outcome(None if code == -signal.SIGXCPU else code, failed)

    def work(self, tests: list[str], first: bool, limit: int, send: int, environment: dict[str, str]) -> None:
        """What the child does; it does not come back."""
        code = 3
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
            output = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            for stream in (1, 2):
                os.dup2(output, stream)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.chdir(self.tree)
            os.environ |= PLUGINS | {"PYTHONPATH": str(self.tree), **environment}
            sys.path.insert(0, str(self.tree))
            chosen = Chosen(tests)
            files = dict.fromkeys(test.split("::")[0] for test in tests)
            code = int(pytest.main([*OPTIONS, *("-x",) * first, *files], plugins=[chosen]))
            os.write(send, "\n".join(chosen.failed).encode()[:60000])
        finally:
            os._exit(code)
