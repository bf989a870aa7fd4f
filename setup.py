"""Builds the compiled part of pynn; everything declarative is in pyproject.toml.

Environment:
  PYNN_BUILD_DEBUG=1                     bounds checks in Cython, symbols, little optimization
  PYNN_BUILD_SANITIZE=address,undefined  compile and link with these sanitizers
  PYNN_BUILD_OPENMP=0                    leave OpenMP out: threadpoolctl then finds nothing to limit
  PYNN_BUILD_CUDA=1                      put a wheel of pynn-dl-cuda, for NVIDIA GPUs, into dist; needs nvcc
"""

import contextlib
import itertools
import logging
import os
import runpy
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("PYNN_BUILD_DEBUG", "0") != "0"
SANITIZE = os.environ.get("PYNN_BUILD_SANITIZE", "")

# Instruction sets beyond the baseline are chosen at run time by pragmas in csrc/, so no -march here. Contraction is off
# because the plain C kernels are the oracle of the vector ones, which spell out every fused multiply-add.
UNIX_FLAGS = ["-std=gnu11", "-O3", "-fno-math-errno", "-ffp-contract=off", "-fvisibility=hidden", "-g0"]
UNIX_WARNINGS = ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-missing-field-initializers"]
UNIX_DEBUG = ["-std=gnu11", "-O1", "-g", "-fno-omit-frame-pointer", "-ffp-contract=off", "-fvisibility=hidden"]
MSVC_FLAGS = ["/std:c11", "/O2", "/fp:precise"]
# Symbols are a thirtieth of the wheel; 50 kB of what is installed would be padding round code. Not every linker knows.
SMALL_LINKS = ("-Wl,--strip-all", "-Wl,-z,noseparate-code")
NOTHING = "int main(void) { return 0; }\n"
# Plain C beside vectors is there to compare with and for old processors, and float64 is the smaller part of the work: a
# third less code where loops stay as they are written, for 2 to 5 % of float64's time (at -Os plain C takes 3 times as
# long). Locks and looks, once a call, have no loops; at -Os a look at a model would take half as long again. What is
# only there to compare with, on processors that have better, is as small as it gets; so is
# float64 for processors of before 2013, whose products are BLAS's anyway.
# Kernels spell out their vectors; what else the compiler would make of loops is a tenth more code and no faster.
# Flags of GCC and of Clang: a compiler gets those that it knows.
PLAIN_LOOPS = (
    "-fno-vectorize",
    "-fvect-cost-model=very-cheap",
    "-fno-unswitch-loops",
    "-fno-ipa-cp-clone",
    "-fno-split-loops",
    "-fno-tree-loop-distribution",
)
# Padding before loops and functions: a twentieth of code that is mostly read once.
TIGHT = ("-O2", "-falign-functions=1", "-falign-jumps=1", "-falign-labels=1", "-falign-loops=1")
SMALL = {
    "isa_generic": (*TIGHT, "-fno-unroll-loops"),
    **dict.fromkeys(("isa_avx2_f64", "isa_avx512_f64", "isa_neon_f64"), (*TIGHT, "-fno-unroll-loops")),
    **dict.fromkeys(("isa_avx2", "isa_avx512"), PLAIN_LOOPS),
    **dict.fromkeys(("_core", "_kept", "_linear", "_predict", "_watch", "dense", "rnn"), TIGHT),
    **dict.fromkeys(("any", "int32", "int64", "isa_amx"), TIGHT),
    **dict.fromkeys(("_blas", "_blocks", "conv2d", "cuda_launch", "hook", "jordan", "lengths"), ("-Os",)),
    "isa_bf16": ("-Os", "-fno-vectorize"),  # its tiles are unrolled by hand: as fast, and 16 kB less
    **dict.fromkeys(("isa_amx_emulated", "isa_generic_fused", "isa_f64"), ("-Os", "-fno-vectorize")),
}
# Kernels neither throw nor are thrown through; tables for that would be a twentieth of the wheel.
NO_UNWINDING = ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]
HAS_VECTORS = sysconfig.get_platform().lower().endswith(("x86_64", "amd64", "aarch64", "arm64", "universal2"))
# Threads are pynn's own (csrc/pool.c); OpenMP's part is to say how many, and Windows has it in a DLL that users lack.
OPENMP = [(["-fopenmp"], ["-fopenmp"]), (["-Xpreprocessor", "-fopenmp"], ["-lomp"])]
OPENMP_PROGRAM = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
# What to install, on macOS, Windows and Linux.
COMPILER = (
    "xcode-select --install (the Xcode command line tools)",
    "Visual Studio Build Tools (MSVC) with 'Desktop development with C++', and Python for 64 bits",
    "sudo apt install build-essential python3-dev (Fedora: sudo dnf install gcc python3-devel)",
)
HEADERS = (
    "a Python from python.org or Homebrew, which has them",
    "Python for 64 bits from python.org, which has them",
    "sudo apt install python3-dev (Fedora: sudo dnf install python3-devel)",
)
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "wraparound": False,
    "cdivision": True,
    "auto_pickle": False,  # nobody pickles them; each class would bring three functions that refuse
    "binding": False,  # no signatures to ask for, for 0.1 MB less; decorators (pynn/_blocks.pyx) need what it brings
}


def extensions():
    """One extension per Cython module; the C sources belong to pynn.core._core."""
    headers = sorted(glob("csrc/**/*.h", recursive=True) + glob("csrc/**/*.def", recursive=True))
    declarations = sorted(glob("pynn/**/*.px[di]", recursive=True))
    for pyx in sorted(glob("pynn/**/*.pyx", recursive=True)):
        name = Path(pyx).with_suffix("").as_posix().replace("/", ".")
        yield Extension(
            name,
            [pyx, *(sorted(glob("csrc/*.c")) if name == "pynn.core._core" else [])],
            include_dirs=["csrc"],
            depends=["setup.py", *headers, *declarations],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        )


def only_progress(command):
    """Leave out what setuptools tells of every file, unless -v asks for it: `pip install -v` shows the progress."""
    if command.distribution.verbose <= 1:
        logging.getLogger().setLevel(logging.WARNING)


class Build(build):
    """Compile first: what is missing is said before anything else."""

    sub_commands = sorted(build.sub_commands, key=lambda command: command[0] != "build_ext")

    def run(self):
        only_progress(self)
        super().run()


def page_engine(tell):
    """Compile the kernels for pages (csrc/web/build.py) where the package ziglang is; else old ones serve."""
    if not os.path.exists("csrc/web/build.py"):
        return
    script = runpy.run_path("csrc/web/build.py")
    folder = Path("pynn", "web")
    if script["is_newer"](folder):
        return
    if script["has_compiler"]():
        tell("compiling the kernels for pages")
        script["build"](folder)
    elif not Path(folder, script["NAME"]).exists():
        tell("no package ziglang: this build has no kernels for pages")


class BuildExt(build_ext):
    """Cythonize, find OpenMP, then compile translation units (not only extensions) in parallel and only when stale."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count() or 1
        if DEBUG or SANITIZE:
            self.force = True

    def tell(self, text):
        if self.distribution.verbose:
            print(f"pynn: {text}", flush=True)

    def build_extensions(self):
        only_progress(self)
        self.find_compiler()
        self.tell("translating Cython to C")
        import numpy
        from Cython.Build import cythonize

        sources = {
            ext.name: ext.sources
            for ext in cythonize(
                self.extensions, build_dir="build/cython", compiler_directives=DIRECTIVES, force=self.force, quiet=True
            )
        }
        compile_flags, link_flags = self.flags()
        self.smaller = self.smaller_flags()
        for ext in self.extensions:
            ext.sources = sources[ext.name]
            ext.include_dirs.append(numpy.get_include())
            ext.extra_compile_args += compile_flags
            ext.extra_link_args += link_flags
        self.tell("compiling, which takes one to five minutes")
        with ThreadPoolExecutor(self.parallel) as pool:
            self.compile_units_in(pool)
            super().build_extensions()
        page_engine(self.tell)
        if os.environ.get("PYNN_BUILD_CUDA", "0") != "0":
            self.tell("compiling the kernels for GPUs, which takes some minutes")
            runpy.run_path("csrc/cuda/build.py")["make_wheel"]("dist")

    def compile_units_in(self, pool):
        compiler = self.compiler
        compile_serially = compiler.compile
        total, done = sum(len(ext.sources) for ext in self.extensions), itertools.count(1)

        def compile_one(source, depends, options):
            [target] = compiler.object_filenames([source], output_dir=options["output_dir"])
            own = [*SMALL.get(Path(source).stem, ()), *(NO_UNWINDING if Path(source).parts[0] == "csrc" else ())]
            own = [flag for flag in own if flag in self.smaller]
            options = {**options, "extra_postargs": [*options["extra_postargs"], *own]}
            if not self.force and is_newer(target, [source, *depends]):
                next(done)
                return target
            compile_serially([source], depends=depends, **options)
            self.tell(f"compiled {next(done)} of {total} files: {source}")
            return target

        def compile_all(sources, depends=(), **options):
            units = [pool.submit(compile_one, source, list(depends or ()), options) for source in sources]
            return [unit.result() for unit in units]

        compiler.compile = compile_all

    def find_compiler(self):
        """End with one line that says what to install where nothing compiles C, or not with Python's headers."""
        for wanted, include, (mac, windows, linux) in [
            ("a C compiler", "<stdio.h>", COMPILER),
            ("a C compiler and Python's header files", "<Python.h>", HEADERS),
        ]:
            received = self.error_of(f"#include {include}\nint main(void) {{ return 0; }}\n")
            if received:
                install = {"darwin": mac, "win32": windows}.get(sys.platform, linux)
                raise SystemExit(f"pynn: error: expected {wanted}. Received: {received}. help: {install}")

    def flags(self):
        kind = "msvc" if self.compiler.compiler_type == "msvc" else "unix"
        if kind == "msvc":
            compile_flags, link_flags = list(MSVC_FLAGS), []
        else:
            compile_flags, link_flags = (UNIX_DEBUG if DEBUG or SANITIZE else UNIX_FLAGS) + UNIX_WARNINGS, []
            if sys.platform == "linux" and not (DEBUG or SANITIZE):
                link_flags += [flag for flag in SMALL_LINKS if self.links(NOTHING, [], [flag])]
        if SANITIZE:
            compile_flags += [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all"]
            link_flags.append(f"-fsanitize={SANITIZE}")
        if sys.platform == "win32" or os.environ.get("PYNN_BUILD_OPENMP", "1") == "0":
            return compile_flags, link_flags
        for candidate_compile, candidate_link in OPENMP:
            if self.links(OPENMP_PROGRAM, candidate_compile, candidate_link):
                return compile_flags + candidate_compile, link_flags + candidate_link
        self.tell("no OpenMP here: threads are pynn's own, and threadpoolctl does not limit them")
        return compile_flags, link_flags

    def smaller_flags(self):
        """Return those of the flags for less code that this compiler knows: Clang refuses some of GCC's."""
        if self.compiler.compiler_type == "msvc" or DEBUG:
            return set()
        small = {flag for flags in SMALL.values() for flag in flags} if HAS_VECTORS else set()
        wanted = small | (set() if SANITIZE else set(NO_UNWINDING))
        return {flag for flag in wanted if self.links(NOTHING, ["-Werror", flag], [])}

    def links(self, program, compile_flags, link_flags):
        return not self.error_of(program, compile_flags, link_flags)

    def error_of(self, program, compile_flags=(), link_flags=()):
        """Return in one line why a program does not compile and link; "" if it does."""
        with tempfile.TemporaryDirectory() as folder, open(Path(folder, "output"), "w+", errors="replace") as output:
            source = Path(folder, "probe.c")
            source.write_text(program)
            try:
                with silenced(output):
                    objects = self.compiler.compile(
                        [str(source)], output_dir=folder, extra_postargs=list(compile_flags)
                    )
                    self.compiler.link_executable(objects, str(Path(folder, "probe")), extra_postargs=list(link_flags))
            except Exception as error:  # the compiler classes raise several unrelated types
                output.seek(0)
                lines = [line for line in output.read().splitlines() if "error" in line] or [str(error)]
                return lines[0].replace(folder + os.sep, "").strip()
        return ""


@contextlib.contextmanager
def silenced(output):
    """Let what compilers print go into a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    try:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
        yield
    finally:
        for descriptor, old in zip((1, 2), kept, strict=True):
            os.dup2(old, descriptor)
            os.close(old)


def is_newer(target, sources):
    if not os.path.exists(target):
        return False
    built = os.path.getmtime(target)
    return all(os.path.getmtime(source) < built for source in sources)


setup(ext_modules=list(extensions()), cmdclass={"build": Build, "build_ext": BuildExt})
