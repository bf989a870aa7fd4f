"""What the inner loops of the products on NEON cost: counted in the assembly, and by llvm-mca's models of processors.

    python -P tests/ports/micro_kernels.py [--compiler "aarch64-linux-gnu-gcc"] [--mca llvm-mca-19] [--show KERNEL]

Of each loop: multiply-adds (of four lanes), other instructions, loads and bytes loaded for each multiply-add, accesses
to the stack; then multiply-adds per cycle, as a part of the most that the model does, which is measured with nothing
else. The compiler is ziglang's clang, unless told otherwise. Needs Debian's llvm: those older than 16 take the model of
an older processor for neoverse-n1, and up to 19 also for cortex-a76, which is built like neoverse-n1.
Exit status: 1 if a vector of a tile of any size leaves the registers, or a loop of the table does less than 85 %.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["-std=gnu11", "-O3", "-fno-math-errno", "-ffp-contract=off", "-fvisibility=hidden", "-g0", "-w", "-S"]
MODELS = ("neoverse-n1", "neoverse-v2", "cortex-a76", "apple-m1")
KERNELS = {  # rows, vectors, A by terms -> what it is
    "gemm_kernel_6_4_0_1": "product 6 x 16, A by rows",
    "gemm_kernel_6_4_1_1": "product 6 x 16, A by terms",
    "gemm_kernel_6_4_0_0": "product 6 x 13..15, A by rows",
    "gemm_kernel_6_3_0_0": "product 6 x 9..11, A by rows",
    "gemm_kernel_8_2_0_1": "product 8 x 8, A by rows",
    "gemm_kernel_8_2_1_1": "product 8 x 8, A by terms",
    "gemm_kernel_12_1_0_1": "product 12 x 4, A by rows",
    "conv_kernel_6_4_0": "convolution 6 x 16",
    "conv_kernel_6_4_1": "convolution 6 x 16, A by terms",
    "conv_kernel_8_2_0": "convolution 8 x 8",
}
LABEL = re.compile(r"^(\.?\w+):")
JUMP = re.compile(r"^\s+(?:b\.?\w*|cbn?z|tbn?z)\s(?:.*\s)?(\.L\w+)$")
SPILL = re.compile(r"\s(?:ld|st)\w+\s+(?:q\d+|d\d+|\{).*\[sp")
INSTRUCTION = re.compile(r"^\s+[a-z]")
BYTES = {"q": 16, "d": 8, "s": 4, "x": 8, "w": 4}


def functions(text):
    """Return name -> lines of each function of an assembly file."""
    found, lines = {}, []
    for line in text.splitlines():
        label = LABEL.match(line)
        if label and not label[1].startswith(".L"):
            lines = found.setdefault(label[1], [])
        elif INSTRUCTION.match(line) or label:
            lines.append(line.split("//")[0].rstrip())
    return found


def innermost(lines):
    """Return the instructions of the loop with the most multiply-adds among those that hold no other loop."""
    labels, loops = {}, []
    for at, line in enumerate(lines):
        label, jump = LABEL.match(line), JUMP.match(line)
        if label:
            labels[label[1]] = at
        elif jump and jump[1] in labels:
            loops.append((labels[jump[1]], at))
    inner = [(a, b) for a, b in loops if not any((c, d) != (a, b) and a <= c and d <= b for c, d in loops)]
    bodies = [[line for line in lines[a : b + 1] if INSTRUCTION.match(line)] for a, b in inner] or [[]]
    return max(bodies, key=lambda body: sum("fmla" in line for line in body))


def loaded(line):
    """Return the bytes that an instruction loads."""
    name, _, operands = line.strip().partition("\t")
    if name in ("ldr", "ldur", "ldp"):
        targets = operands.split("[")[0].replace(" ", "").strip(",").split(",")
        return sum(BYTES[target[0]] for target in targets)
    lanes = re.match(r"\{\s*v\d+\.(\w+)", operands)
    return {"4s": 16, "2s": 8, "s": 4}[lanes[1]] if name in ("ld1", "ld1r") and lanes else 0


def newest_mca():
    """Return the name of the newest llvm-mca; that without a version where there is none."""
    found = [name for n in range(30, 13, -1) if shutil.which(name := f"llvm-mca-{n}")]
    return found[0] if found else "llvm-mca"


def cycles(mca, model, body):
    """Return the cycles that one round of a loop takes, by llvm-mca."""
    rounds = 200
    command = [mca, "-mtriple=aarch64", f"-mcpu={model}", f"-iterations={rounds}", "-"]
    said = subprocess.run(command, input="\n".join(body) + "\n", capture_output=True, text=True)
    if said.returncode:
        sys.exit(said.stderr)
    return int(re.search(r"Total Cycles:\s+(\d+)", said.stdout)[1]) / rounds


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compiler", default=f"{sys.executable} -m ziglang cc -target aarch64-linux-gnu.2.28")
    parser.add_argument("--mca", default=newest_mca(), help="default: the newest llvm-mca that is installed")
    parser.add_argument("--show", metavar="KERNEL", help="print the loop of one kernel instead")
    args = parser.parse_args()
    if not args.show and shutil.which(args.mca) is None:
        parser.error(f"expected llvm-mca, of Debian's package llvm. Received: no program {args.mca!r}.")
    with tempfile.TemporaryDirectory() as folder:
        assembly = Path(folder, "neon.s")
        source = [f"-I{ROOT / 'csrc'}", str(ROOT / "csrc" / "isa_neon.c"), "-o", str(assembly)]
        subprocess.run([*shlex.split(args.compiler), *FLAGS, *source], check=True, stderr=subprocess.DEVNULL)
        found = functions(assembly.read_text())
    if args.show:
        print("\n".join(innermost(found[args.show])))
        return
    peak = [f"\tfmla\tv{i}.4s, v30.4s, v31.s[{i % 4}]" for i in range(24)]
    most = {model: round(24 / cycles(args.mca, model, peak)) for model in MODELS}
    head = ["loop", "multiply-adds", "others", "loads for each", "bytes", "stack"]
    print("| " + " | ".join([*head, *(f"{model} (most {n})" for model, n in most.items())]) + " |")
    print("|---" * (len(head) + len(MODELS)) + "|")
    slow = []
    for kernel, what in KERNELS.items():
        body = innermost(found[kernel])
        adds = sum("fmla" in line for line in body)
        loads = [n for n in map(loaded, body) if n]
        stack = sum("[sp" in line for line in body)
        row = [what, adds, len(body) - adds, f"{len(loads) / adds:.2f}", f"{sum(loads) / adds:.1f}", stack]
        parts = [100 * adds / cycles(args.mca, model, body) / n for model, n in most.items()]
        slow += [kernel for part in parts if part < 85]
        print("| " + " | ".join(map(str, [*row, *(f"{part:.0f} %" for part in parts)])) + " |")
    tiles = [name for name in found if re.fullmatch(r"(gemm|conv)_kernel_[\d_]+", name)]
    spills = [name for name in tiles if any(map(SPILL.search, innermost(found[name])))]
    print(f"\nOf {len(tiles)} tiles {len(spills)} move vectors to the stack in their loops.", *spills)
    sys.exit(1 if slow or spills else 0)


if __name__ == "__main__":
    main()
