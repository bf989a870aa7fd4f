"""What the witness is built for, how that is run here, and which differences between hashes have a reason."""

from fnmatch import fnmatchcase
from typing import NamedTuple

QEMU_CPUS = ("cortex-a53", "neoverse-n1", "max")


class Port(NamedTuple):
    """A target of the compiler, and the machines that it is run on.

    Attributes
    ----------
    name : str
    compiler : str
        A target of ``zig cc``; "" is the compiler of this machine.
    flags : tuple of str
    machines : tuple of (str, tuple of str)
        A label, and the command that runs the program; {root} is a folder with the target's C library. Without any,
        it is only compiled and linked.
    needs : str
        The program that must be there to run it; "" for none.
    root : str
        The loader below {root} without which the program cannot start; "" if it needs none.
    quick : int
        How many of the machines a quick run takes.
    shim : tuple of str
        Options of the C++ compiler for the device kernels of csrc/cuda, which then are the only table that is run.
    """

    name: str
    compiler: str = ""
    flags: tuple = ()
    machines: tuple = (("", ()),)
    needs: str = ""
    root: str = ""
    quick: int = 0
    shim: tuple = ()


def aarch64(name, compiler, options=(), **more):
    """Return the port of an ARM C library under qemu."""
    machines = tuple((cpu, ("qemu-aarch64", *options, "-cpu", cpu)) for cpu in reversed(QEMU_CPUS))
    return Port(name, compiler, machines=machines, needs="qemu-aarch64", **more)


PORTS = (
    Port("native", quick=1),
    Port(
        "x86_64-old",
        machines=tuple((cpu, ("qemu-x86_64", "-cpu", cpu)) for cpu in ("Nehalem", "Haswell")),
        needs="qemu-x86_64",
    ),
    Port("cuda-shim", quick=1, shim=("-O1",)),
    Port("cuda-sanitized", shim=("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")),
    aarch64("aarch64-glibc", "aarch64-linux-gnu.2.28", ("-L", "{root}"), root="lib/ld-linux-aarch64.so.1", quick=1),
    aarch64("aarch64-musl", "aarch64-linux-musl", quick=1),
    Port("x86_64-musl", "x86_64-linux-musl"),
    Port("windows", "x86_64-windows-gnu", machines=(("wine", ("wine",)),), needs="wine"),
    Port("windows-arm64", "aarch64-windows-gnu", machines=()),
    Port("macos-arm64", "aarch64-macos", machines=()),
    # Without V8's fast calls, by which node's WASI crashes when it collects garbage.
    Port(
        "wasm32",
        "wasm32-wasi",
        ("-msimd128",),
        (("node", ("node", "--no-turbo-fast-api-calls", "{here}/wasi.mjs")),),
        needs="node",
    ),
)
#: Scripts of their own, in this folder: what they check, and the programs that they need.
SCRIPTS = {"big_endian": ("s390x: model files, whose bytes are in another order there", ("qemu-s390x", "apt-get"))}
#: One of a group is enough for a quick run: the first that can be built and run.
ALTERNATIVES = (("aarch64-glibc", "aarch64-musl"),)

#: What is compared: floats with the best table of this machine, the rest with its only one.
BEST = ("avx512", "avx2", "neon", "generic")


class Reason(NamedTuple):
    """Why hashes of some kernels (patterns of the shell) differ from the best table's."""

    machine: str
    table: str
    kernels: tuple
    dtype: str
    reason: str


# What calls the C library in float64; float32 has csrc/kernels/vmath.h and csrc/scalar_math.h.
LIBM = ("sin_*", "cos_*", "pow_*", "lrn_*", "gelu_fwd", "gelu_bwd")
REASONS = (
    Reason("wasm32*", "*", ("*",), "*", "WebAssembly has no fused multiply-add: its own bits, and no promise"),
    Reason("*Nehalem", "generic", ("*",), "float32", "a processor without fused multiply-add: its own bits"),
    Reason("*", "*", LIBM, "float64", "sin, cos, powers and erf of float64 call the C library"),
    Reason("*", "generic", ("*",), "float64", "float64 in plain C is the oracle: no fused multiply-add, C's functions"),
)


def reason_for(machine, table, kernel, dtype):
    """Return the reason that covers a difference, or None."""
    for r in REASONS:
        if (
            fnmatchcase(machine, r.machine)
            and fnmatchcase(table, r.table)
            and fnmatchcase(dtype, r.dtype)
            and any(fnmatchcase(kernel, pattern) for pattern in r.kernels)
        ):
            return r
    return None
