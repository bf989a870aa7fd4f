"""A plugin of pytest that writes down which tests run which lines, and which C functions, and what each test takes.

Lines come from coverage, with the number of the test as the context, in the processes that a test starts too. C
functions come from a library that was built to note its calls (see kernels.py); without one there are none.
Settings are environment variables: MUTATE_CACHE, the folder written to; MUTATE_PART, what to write: lines or functions.
"""

import ctypes
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import coverage
import pytest

CONFIG = """[run]
source = {source}
data_file = {data}
parallel = true
context = ${{MUTATE_TEST-}}
disable_warnings = no-data-collected, module-not-imported, module-not-measured, trace-changed, already-imported
"""


class Covering:
    """Notes what each test covers; `tests` is what is written at the end."""

    def __init__(self, cache: Path, part: str):
        self.part = cache / part
        config = self.part.with_suffix(".ini")
        config.write_text(CONFIG.format(source=Path.cwd() / "pynn", data=self.part.with_suffix(".lines")))
        if part == "lines":
            os.environ["COVERAGE_PROCESS_START"] = str(config)
        # in memory: tests limit files and fork
        self.coverage = coverage.Coverage(data_file=None, config_file=str(config))
        if part == "lines":
            self.coverage.start()
        self.tests: list[dict] = []
        self.library: ctypes.CDLL | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item, nextitem):
        """Measure one test, its fixtures included."""
        number = str(len(self.tests))
        self.tests.append({"test": item.nodeid, "passed": True, "functions": []})
        os.environ["MUTATE_TEST"] = number
        self.entered()
        self.switch(number)
        began = sum(os.times()[:4])  # of the processor, its children included: others may use the machine
        try:
            return (yield)
        finally:
            self.switch("")
            self.tests[-1] |= {"seconds": sum(os.times()[:4]) - began, "functions": self.entered()}
            del os.environ["MUTATE_TEST"]

    def switch(self, context: str) -> None:
        """Count the lines for a test, or for none."""
        if self.part.name == "lines":
            if sys.gettrace() is None:  # the last test took it off
                self.coverage.stop()
                self.coverage.start()
            self.coverage.switch_context(context)

    def pytest_runtest_logreport(self, report):
        """A test that does not pass here cannot notice anything."""
        if report.outcome != "passed":
            self.tests[-1]["passed"] = False

    def entered(self) -> list[int]:
        """The addresses of the C functions that were called since the last time, from the library's begin."""
        if self.library is None:
            from pynn.core import _core

            self.library = ctypes.CDLL(_core.__file__)
        if not hasattr(self.library, "mutate_entered"):
            return []
        room = (ctypes.c_int64 * 4096)()
        return sorted(room[: self.library.mutate_entered(room, 4096)])

    def pytest_sessionfinish(self):
        """Write what was found."""
        self.part.with_suffix(".json").write_text(json.dumps(self.tests))
        if self.part.name != "lines":
            return
        self.coverage.stop()
        found = coverage.CoverageData(str(self.part.with_suffix(".covered")))
        found.update(self.coverage.get_data())
        for written in self.part.parent.glob("*.lines.*"):
            with suppress(coverage.CoverageException):  # of a process that was killed
                of_process = coverage.CoverageData(str(written))
                of_process.read()
                found.update(of_process)
            written.unlink()


def pytest_configure(config):
    """Begin before the package is imported."""
    config.pluginmanager.register(Covering(Path(os.environ["MUTATE_CACHE"]), os.environ["MUTATE_PART"]))
