"""Compiles the device kernels with nvcc, and says what their compiler makes of them.

    python csrc/cuda/build.py --list      which kernels have a device version, and which have none
    python csrc/cuda/build.py             for every architecture that nvcc knows; a table of registers and spills
    python csrc/cuda/build.py --quick     for the oldest and the newest: what .ci/run does
    python csrc/cuda/build.py --wheel DIR  the distribution pynn-dl-cuda, for every Python and system; PYNN_BUILD_CUDA=1
                                          has setup.py do so, into dist

Warnings are errors. So are: spilled registers in a kernel of LARGE, more than a few bytes of them in any other; an
atomic operation on floating-point numbers, whose order nobody knows; an approximate function or flushed denormals,
which no CPU has. Without nvcc it says so and ends with status 0; for a wheel that is an error.
"""

import argparse
import base64
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent
FLAGS = ["-std=c++17", "-O3", "-fmad=false", "-Werror", "all-warnings", f"-I{CSRC}", f"-I{HERE}"]
OLDEST = 75
#: The architectures that PTX is made for: one made for the last of them that a GPU is not older than serves it. So nvcc
#: translates the sources twice, not once for every GPU; what follows, the code of each GPU, takes as long again.
VIRTUAL = (75, 80)
#: Kernels in which registers hold a tile: nothing may be spilled there.
LARGE = (
    "matmul",
    "dense_fwd",
    "dense_bwd",
    "rnn_gemm",
    "rnn_product",
    "conv2d_fwd",
    "conv2d_bwd",
    "conv2d_transpose_fwd",
)
#: Kernels that loop over time, which are chains of parts on a device.
IN_PARTS = {"rnn_fwd", "rnn_bwd"}
FEW_BYTES = 32  # that any other kernel may spill
#: What PTX must not hold.
FORBIDDEN = {
    "atomic operations on floats": r"\b(?:atom|red)\.[\w.:]*\.(?:f16|bf16|f32|f64)",
    "approximate functions": r"\b(?:div|sqrt|rsqrt|rcp|sin|cos|ex2|lg2|tanh)\.(?:approx|full)",
    "flushed denormals": r"\.ftz\b",
}


def nvcc():
    """Return the path of nvcc, or None."""
    home = os.environ.get("CUDA_HOME")
    return shutil.which("nvcc") or (home and shutil.which("nvcc", path=os.path.join(home, "bin")))


def preprocessed(text):
    """Return the words of a C text whose macros a compiler has replaced."""
    command = [*shlex.split(os.environ.get("CC", "cc")), "-E", "-P", "-x", "c", f"-I{CSRC}", f"-I{HERE}", "-"]
    made = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return re.findall(r"\b(?:pn_row|pn_any)_(\w+)", made.stdout)


def kernels():
    """Return the names of all kernels, in C and in Cython, and of those that have a device version."""
    tables = " ".join(f"PN_{part}_KERNELS(ROW)" for part in ("REAL", "SINGLE", "ANY"))
    every = f'#include "kernels.def"\n#define ROW(name) pn_row_##name\n{tables}\n'
    device = '#include "../act.h"\n#include "{}"\n#define ROW(name, ...) pn_row_##name\n{}(ROW)\n'
    cython = (CSRC.parent / "pynn" / "core" / "kernels").glob("*.pyx")
    layers = {name for path in cython for name in re.findall(r'register_kernel\("(\w+)"', path.read_text("utf-8"))}
    own, parts = (
        set(preprocessed(device.format(HERE / "kernels.def", table)))
        for table in ("PN_CUDA_KERNELS", "PN_CUDA_RECURRENT")
    )
    return set(preprocessed(every)) | layers, own - parts | IN_PARTS


def sources():
    """Return the files of this folder that are compiled."""
    return sorted(path for path in HERE.iterdir() if path.suffix in {".h", ".cu", ".cpp", ".def"})


def atomics():
    """Return the atomic operations in the sources but atomicMin, which is on whole numbers alone."""
    return sorted(
        f"{path.name}: {name}"
        for path in sources()
        for name in re.findall(r"\b(atomic\w+)\s*\(", path.read_text())
        if name != "atomicMin"
    )


def architectures(quick):
    """Return the numbers of the architectures to compile for."""
    said = subprocess.run([nvcc(), "--list-gpu-arch"], capture_output=True, text=True, check=True).stdout
    known = sorted(int(n) for n in re.findall(r"compute_(\d+)", said) if int(n) >= OLDEST)
    return [known[0], known[-1]] if quick else known


def targets(numbers):
    """Return by virtual architecture what its PTX becomes: code for GPUs, and the last as it is, for those to come."""
    made = {}
    for number in sorted(numbers):
        made.setdefault(max(v for v in VIRTUAL if v <= number), []).append(f"sm_{number}")
    last = max(made)
    made[last].append(f"compute_{last}")
    return made


def compiled(numbers, folder, *flags):
    """Compile for the architectures into kernels.fatbin; returns what ptxas says. The PTX stays in the folder."""
    code = [f"-gencode=arch=compute_{virtual},code=[{','.join(each)}]" for virtual, each in targets(numbers).items()]
    command = [nvcc(), *FLAGS, *code, *flags, "--threads", "0", "-Xptxas", "-v", "-fatbin", str(HERE / "kernels.cu")]
    command += ["--keep", "--keep-dir", str(folder), "-o", str(Path(folder, "kernels.fatbin"))]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        sys.exit(f"build.py: error: {shlex.join(command)}\n{made.stdout}{made.stderr}")
    return made.stdout + made.stderr


def table(said):
    """Return (kernel, architecture): registers, bytes of its stack, bytes spilled, bytes of shared memory."""
    rows = {}
    for part in said.split("Compiling entry function ")[1:]:
        name, number = re.match(r"'(\w+)' for 'sm_(\d+)'", part).groups()
        stack, stores, loads = map(
            int, re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part).groups()
        )
        registers = int(re.search(r"Used (\d+) registers", part).group(1))
        shared = re.search(r"(\d+) bytes smem", part)
        rows[name, int(number)] = registers, stack, stores + loads, int(shared.group(1)) if shared else 0
    return rows


def forbidden(folder):
    """Return what must not be there and is, in the PTX that was left there."""
    made = {path.name: path.read_text() for path in sorted(Path(folder).glob("*.ptx"))}
    if not made:
        raise FileNotFoundError(f"no PTX in {folder}")
    found = {
        f"{what} in {name}": sorted(set(re.findall(pattern, ptx)))
        for name, ptx in made.items()
        for what, pattern in FORBIDDEN.items()
    }
    return [f"{what}: {', '.join(names)}" for what, names in found.items() if names]


def report(rows):
    """Print the table; returns the kernels that spill too much."""
    numbers = sorted({number for _, number in rows})
    print(f"registers (stack, spilled, shared bytes where there are any) for {', '.join(f'sm_{n}' for n in numbers)}")
    for name in sorted({name for name, _ in rows}):
        cells = []
        for number in numbers:
            registers, stack, spilled, shared = rows[name, number]
            extra = [f"{n} {what}" for n, what in ((stack, "stack"), (spilled, "spilled"), (shared, "shared")) if n]
            cells.append(f"{registers}" + (f" ({', '.join(extra)})" if extra else ""))
        print(f"  {name:28} {'  '.join(cells)}")
    most = {key: 0 if re.sub("_(high|medium)$", "", key[0]) in LARGE else FEW_BYTES for key in rows}
    return [f"{name} for sm_{n} spills {row[2]} bytes" for (name, n), row in rows.items() if row[2] > most[name, n]]


# The distribution


METADATA = """Metadata-Version: 2.4
Name: pynn-dl-cuda
Version: {0}
Summary: Kernels of pynn for NVIDIA GPUs
License-Expression: {1}
Requires-Python: >=3.11
Requires-Dist: pynn-dl=={0}

What pynn.set_device("cuda") uses. It needs NVIDIA's driver and no other package of NVIDIA's.
"""
WHEEL = "Wheel-Version: 1.0\nGenerator: csrc/cuda/build.py\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
BUILT = '"""What the kernels were built of and for."""\n\nVERSION, CUDA, ARCHITECTURES = {!r}, {}, {!r}\n'


def found(pattern, path):
    """Return what a pattern finds in a file of the sources."""
    return re.search(pattern, (CSRC.parent / path).read_text("utf-8"), re.M).group(1)


def contents(numbers, folder):
    """Compile; returns the files of the package beside its sources."""
    compiled(numbers, folder, "--compress-mode=size")
    said = subprocess.run([nvcc(), "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = map(int, re.search(r"release (\d+)\.(\d+)", said).groups())
    version = found(r'^__version__ = "(.+)"', "pynn/_version.py")
    built = BUILT.format(version, 1000 * major + 10 * minor, f"sm_{numbers[0]} and newer")
    return {"built.py": built.encode(), "kernels.fatbin": Path(folder, "kernels.fatbin").read_bytes()}


def wheel(folder, made):
    """Write the wheel: the package's sources and what contents() made; returns its path."""
    version = found(r'^__version__ = "(.+)"', "pynn/_version.py")
    own = {path.name: path.read_bytes() for path in (HERE / "pynn_dl_cuda").glob("*.py")} | made
    files = {f"pynn_dl_cuda/{name}": text for name, text in sorted(own.items())}
    info = f"pynn_dl_cuda-{version}.dist-info"
    license_of = found(r'^license = "(.+)"', "pyproject.toml")
    files[f"{info}/METADATA"] = METADATA.format(version, license_of).encode()
    files[f"{info}/WHEEL"] = WHEEL.encode()
    files[f"{info}/licenses/LICENSE"] = (CSRC.parent / "LICENSE").read_bytes()
    digests = {name: base64.urlsafe_b64encode(hashlib.sha256(text).digest()).decode() for name, text in files.items()}
    rows = [f"{name},sha256={digests[name].rstrip('=')},{len(text)}" for name, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    path = Path(folder, f"pynn_dl_cuda-{version}-py3-none-any.whl")
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
    return path


def make_wheel(folder):
    """Compile for the first architecture of each generation, whose code the others of it run, and as PTX for all."""
    if not nvcc():
        sys.exit("build.py: error: expected nvcc. Received: none on the path, nor in CUDA_HOME.")
    first = {number // 10: number for number in reversed(architectures(False))}
    with tempfile.TemporaryDirectory() as scratch:
        path = wheel(folder, contents(sorted(first.values()), scratch))
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def main():
    """Do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="list the kernels with and without a device version")
    parser.add_argument("--quick", action="store_true", help="two architectures")
    parser.add_argument("--wheel", metavar="DIR", help="build the distribution pynn-dl-cuda")
    options = parser.parse_args()
    if options.wheel:
        make_wheel(options.wheel)
        return
    if options.list:
        every, device = kernels()
        print(f"{len(device)} of {len(every)} kernels have a device version:\n  {' '.join(sorted(device))}")
        print(f"none have\n  {' '.join(sorted(every - device))}")
        return
    failures = [f"expected no atomic operation but atomicMin. Received: {one}" for one in atomics()]
    if nvcc():
        numbers = architectures(options.quick)
        with tempfile.TemporaryDirectory() as folder:
            rows = table(compiled(numbers, folder))
            failures += report(rows) + forbidden(folder)
    else:
        print("no nvcc: the device kernels are not compiled for devices")
    for failure in failures:
        print(f"! {failure}")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
