"""Compiles the kernels for pages: csrc -> pynn/web/engines.xz, which holds two modules of WebAssembly.

    python csrc/web/build.py [FOLDER]

The first has relaxed SIMD, with fused multiply-adds; the second goes without. It needs the package ziglang, whose
compiler has WebAssembly as a target and its C library.
"""

import importlib.util
import lzma
import subprocess
import sys
import tempfile
from pathlib import Path

CSRC = Path(__file__).resolve().parents[1]
SOURCES = (
    "web/engine.c", "web/kernels.c", "any.c", "int32.c", "par.c", "gemm_scratch.c", "scalar_math.c", "byte_dots.c",
    "exec.c",
)  # fmt: skip
FLAGS = ["-std=gnu11", "-Os", "-fno-math-errno", "-ffp-contract=off", "-g0", "-w", "-msimd128"]
# Nothing of WASI is left: the modules import nothing.
LINK = ["-mexec-model=reactor", "-nostartfiles", "-Wl,--no-entry", "-Wl,--gc-sections", "-Wl,--strip-all"]
LINK += ["-Wl,--export=__heap_base", "-Wl,-z,stack-size=262144", "-lm"]
MODULES = (["-mrelaxed-simd"], [])
NAME = "engines.xz"


def has_compiler():
    """Tell whether the package ziglang is there."""
    return importlib.util.find_spec("ziglang") is not None


def is_newer(folder):
    """Tell whether the modules are newer than all sources."""
    made = Path(folder, NAME)
    sources = [path for pattern in ("**/*.[ch]", "**/*.def", "web/*.py") for path in CSRC.glob(pattern)]
    return made.exists() and made.stat().st_mtime > max(path.stat().st_mtime for path in sources)


def build(folder):
    """Compile both modules into one file: the length of the first and a line feed, the first, the second; all in xz."""
    compiler = [sys.executable, "-P", "-m", "ziglang", "cc", "-target", "wasm32-wasi"]
    sources, modules = [str(CSRC / one) for one in SOURCES], []
    with tempfile.TemporaryDirectory() as temporary:
        for flags in MODULES:
            made = Path(temporary, "engine.wasm")
            subprocess.run([*compiler, *FLAGS, *flags, f"-I{CSRC}", *sources, "-o", str(made), *LINK], check=True)
            modules.append(made.read_bytes())
    whole = b"%d\n" % len(modules[0]) + b"".join(modules)
    Path(folder, NAME).write_bytes(lzma.compress(whole, preset=9 | lzma.PRESET_EXTREME))
    return [len(module) for module in modules]


def main():
    """Do it."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else CSRC.parent / "pynn" / "web"
    if not has_compiler():
        sys.exit("build.py: error: expected the package ziglang. help: pip install ziglang")
    sizes = build(folder)
    print(f"{folder / NAME}: {(folder / NAME).stat().st_size:,} bytes, of modules of {sizes} bytes")


if __name__ == "__main__":
    main()
