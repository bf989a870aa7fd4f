"""Builds the compiled part of pynn; everything declarative is in pyproject.toml.

Environment:
  PYNN_BUILD_DEBUG=1                     bounds checks in Cython, symbols, little optimization
  PYNN_BUILD_SANITIZE=address,undefined  compile and link with these sanitizers
"""

import os
import sys
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
OPENMP = {
    "unix": [(["-fopenmp"], ["-fopenmp"]), (["-Xpreprocessor", "-fopenmp"], ["-lomp"])],
    "msvc": [(["/openmp"], [])],
}
OPENMP_PROGRAM = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "wraparound": False,
    "cdivision": True,
}


def extensions():
    """One extension per Cython module; the C sources belong to pynn.core._core."""
    headers = sorted(glob("csrc/**/*.h", recursive=True) + glob("csrc/**/*.def", recursive=True))
    declarations = sorted(glob("pynn/**/*.pxd", recursive=True))
    for pyx in sorted(glob("pynn/core/**/*.pyx", recursive=True)):
        name = Path(pyx).with_suffix("").as_posix().replace("/", ".")
        yield Extension(
            name,
            [pyx, *(sorted(glob("csrc/*.c")) if name == "pynn.core._core" else [])],
            include_dirs=["csrc"],
            depends=["setup.py", *headers, *declarations],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        )


class Build(build):
    """Compile first: what is missing is said before hundreds of lines about copied files."""

    sub_commands = sorted(build.sub_commands, key=lambda command: command[0] != "build_ext")


class BuildExt(build_ext):
    """Cythonize, find OpenMP, then compile translation units (not only extensions) in parallel and only when stale."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count() or 1
        if DEBUG or SANITIZE:
            self.force = True

    def build_extensions(self):
        self.find_compiler()
        import numpy
        from Cython.Build import cythonize

        sources = {
            ext.name: ext.sources
            for ext in cythonize(
                self.extensions, build_dir="build/cython", compiler_directives=DIRECTIVES, force=self.force, quiet=True
            )
        }
        compile_flags, link_flags = self.flags()
        for ext in self.extensions:
            ext.sources = sources[ext.name]
            ext.include_dirs.append(numpy.get_include())
            ext.extra_compile_args += compile_flags
            ext.extra_link_args += link_flags
        with ThreadPoolExecutor(self.parallel) as pool:
            self.compile_units_in(pool)
            super().build_extensions()

    def compile_units_in(self, pool):
        compiler = self.compiler
        compile_serially = compiler.compile

        def compile_one(source, depends, options):
            [target] = compiler.object_filenames([source], output_dir=options["output_dir"])
            if not self.force and is_newer(target, [source, *depends]):
                return target
            return compile_serially([source], depends=depends, **options)[0]

        def compile_all(sources, depends=(), **options):
            units = [pool.submit(compile_one, source, list(depends or ()), options) for source in sources]
            return [unit.result() for unit in units]

        compiler.compile = compile_all

    def find_compiler(self):
        """End with one line that says what to install where nothing compiles C."""
        if self.links("#include <Python.h>\nint main(void) { return 0; }\n", [], []):
            return
        install = {
            "darwin": "xcode-select --install",
            "win32": "Visual Studio Build Tools with 'Desktop development with C++', and Python for 64 bits",
        }.get(sys.platform, "sudo apt install build-essential python3-dev (Fedora: sudo dnf install gcc python3-devel)")
        raise SystemExit(f"pynn: error: expected a C compiler, and none works here. help: {install}")

    def flags(self):
        kind = "msvc" if self.compiler.compiler_type == "msvc" else "unix"
        if kind == "msvc":
            compile_flags, link_flags = list(MSVC_FLAGS), []
        else:
            compile_flags, link_flags = (UNIX_DEBUG if DEBUG or SANITIZE else UNIX_FLAGS) + UNIX_WARNINGS, []
        if SANITIZE:
            compile_flags += [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all"]
            link_flags.append(f"-fsanitize={SANITIZE}")
        for candidate_compile, candidate_link in OPENMP[kind]:
            if self.links(OPENMP_PROGRAM, candidate_compile, candidate_link):
                return compile_flags + candidate_compile, link_flags + candidate_link
        print("pynn: no OpenMP here; the kernels will run on one thread", file=sys.stderr)
        return compile_flags, link_flags

    def links(self, program, compile_flags, link_flags):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(program)
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=compile_flags)
                self.compiler.link_executable(objects, str(Path(folder, "probe")), extra_postargs=link_flags)
            except Exception:  # the compiler classes raise several unrelated types
                return False
        return True


def is_newer(target, sources):
    if not os.path.exists(target):
        return False
    built = os.path.getmtime(target)
    return all(os.path.getmtime(source) < built for source in sources)


setup(ext_modules=list(extensions()), cmdclass={"build": Build, "build_ext": BuildExt})
