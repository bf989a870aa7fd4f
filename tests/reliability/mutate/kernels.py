"""Small changes to the C kernels, as plain C compiles them, and libraries with one of them built in.

Only the file of the generic table is compiled anew, at -O1, and linked with the objects that are there; tests run it
under PYNN_ISA=generic. What a change touches is told by the assembly: the functions that differ, or none, and then it
is no change (code of another instruction set, a constant that nothing reads).
"""

import os
import platform
import re
import shlex
import subprocess
import sysconfig
from pathlib import Path

from changes import Change

FLAGS = [
    "-std=gnu11", "-O1", "-fno-math-errno", "-ffp-contract=off", "-fvisibility=hidden", "-fPIC", "-fopenmp", "-w",
    "-Icsrc",
]  # fmt: skip
FUSES = platform.machine() in ("x86_64", "AMD64") and " fma " in Path("/proc/cpuinfo").read_text()
TABLE = "isa_generic_fused" if FUSES else "isa_generic"  # as csrc/cpu.c chooses
COMPILER = shlex.split(os.environ.get("CC", "gcc"))
SKIPPED = re.compile(r'/\*.*?\*/|//[^\n]*|"[^"\n]*"|^[ \t]*#(?!define)[^\n]*|^#define \w+\([^)]*\)', re.S | re.M)
REPLACED = {
    r" (<) ": ("<=", ">="),
    r" (<=) ": ("<",),
    r" (>) ": (">=", "<="),
    r" (>=) ": (">",),
    r" (==) ": ("!=",),
    r" (!=) ": ("==",),
    r" (\+) ": ("-",),
    r" (-) ": ("+",),
    r" (\*) ": ("/",),
    r" (/) ": ("*",),
    r" (%) ": ("/",),
    r" (&&) ": ("||",),
    r" (\|\|) ": ("&&",),
    r" (\+=) ": ("-=",),
    r" (-=) ": ("+=",),
    r"(!)\w": ("",),
    r"(?<=[(,=] )(-)\w|(?<=\()(-)\w": ("",),
    r"\b(vadd)\(": ("vsub",),
    r"\b(vsub)\(": ("vadd",),
    r"\b(vmul)\(": ("vdiv",),
    r"\b(vdiv)\(": ("vmul",),
    r"\b(vmax)\(": ("vmin",),
    r"\b(vmin)\(": ("vmax",),
    r"\b(vfma)\(": ("vfnma",),
    r"\b(vlt)\(": ("vle",),
    r"\b(vle)\(": ("vlt",),
}
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")


def c_files(tree: Path) -> list[str]:
    """The headers of the kernels that plain C compiles too."""
    return sorted(path.relative_to(tree).as_posix() for path in (tree / "csrc/kernels").glob("*.h"))


def changes_of(path: str, text: str) -> list[Change]:
    """All changes of a header, in the order of its text; not all of them compile.

    What pn_for is told about the work decides on the number of threads alone: that is left as it is.
    """
    code = SKIPPED.sub(lambda match: re.sub(r"[^\n]", "\0", match[0]), text)
    for match in re.finditer(r"\bpn_for\(", code):
        begin, end = third_argument(code, match.end())
        code = code[:begin] + "\0" * (end - begin) + code[end:]
    found = []
    for pattern, replacements in REPLACED.items():
        for match in re.finditer(pattern, code):
            group = next(number for number, part in enumerate(match.groups(), 1) if part)
            found += [(match.start(group), match[group], after) for after in replacements]
    for match in NUMBER.finditer(code):
        value = float(match[0]) if "." in match[0] else int(match[0])
        found += [(match.start(), match[0], repr(value + step)) for step in (1, -1)]
    result = []
    for start, before, after in sorted(found):
        line = text.count("\n", 0, start) + 1
        result.append(Change(path, start, before, after, line, (line,)))
    return result


def third_argument(code: str, at: int) -> tuple[int, int]:
    """Where the third argument of a call begins and ends, whose first one begins at `at`."""
    depth, commas = 0, []
    while depth >= 0 and len(commas) < 3 and at < len(code):
        depth += (code[at] == "(") - (code[at] == ")")
        if code[at] == "," and depth == 0:
            commas.append(at)
        at += 1
    return (commas[1] + 1, commas[2]) if len(commas) == 3 else (at, at)


def assembly(tree: Path, *more: str) -> str | None:
    """The plain C kernels, compiled; None where they do not compile."""
    done = subprocess.run(
        [*COMPILER, *FLAGS, *more, "-S", "-o", "-", f"csrc/{TABLE}.c"], cwd=tree, capture_output=True, text=True
    )
    return done.stdout if done.returncode == 0 else None


def functions(assembled: str) -> dict[str, str]:
    """The code of every function, independent of how labels are numbered."""
    blocks = re.split(r"^([.\w]+):\n", assembled, flags=re.M)
    labelled = dict(zip(blocks[1::2], blocks[2::2], strict=True))
    data = re.compile(r"^\s+\.(?:long|quad|byte|zero|string|ascii|value|word)\b.*$", re.M)
    constants = {name: " ".join(data.findall(body)) for name, body in labelled.items() if name.startswith(".LC")}
    found, current = {}, ""
    for name, body in labelled.items():
        if not name.startswith(".L"):
            current = name
            found[current] = ""
        found[current] = found.get(current, "") + body
    numbers: dict[str, str] = {}

    def plain(match: re.Match) -> str:
        return constants.get(match[0]) or numbers.setdefault(match[0], f"L{len(numbers)}")

    result = {}
    for name, body in found.items():
        numbers.clear()
        code = re.sub(r"^\s+\.(?:section|align|p2align).*\n", "", body, flags=re.M)
        result[name.split(".")[0]] = re.sub(r"\.L\w+", plain, code)
    return result


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """The names of the functions that are not the same."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def link(tree: Path, objects: list[Path]) -> Path:
    """The extension module of the tree, with these objects for the generic table's."""
    [built] = tree.glob("build/temp*")
    others = [path for path in built.rglob("*.o") if path.parent.name == "csrc" and path.stem != TABLE]
    module = built / "build/cython/pynn/core/_core.o"
    target = tree / ("pynn/core/_core" + sysconfig.get_config_var("EXT_SUFFIX"))
    made = target.with_suffix(".new")
    subprocess.run([*COMPILER, "-shared", "-fopenmp", "-o", made, *objects, *others, module, "-lm"], check=True)
    return made.replace(target)


def build(tree: Path, assembled: str) -> None:
    """Build assembled kernels into the tree."""
    source, made = tree / "build/kernels.s", tree / "build/kernels.o"
    source.write_text(assembled)
    subprocess.run([*COMPILER, "-c", "-o", made, source], check=True)
    link(tree, [made])


def build_noting(tree: Path) -> dict[int, str]:
    """Build a library that notes which functions are called; returns their names by their addresses."""
    folder = Path(__file__).parent
    made = [tree / "build/noting.o", tree / "build/kernels.o"]
    subprocess.run(
        [*COMPILER, "-O2", "-fPIC", "-fvisibility=hidden", "-c", "-o", made[0], folder / "entered.c"], check=True
    )
    flags = [*FLAGS, "-finstrument-functions", "-finstrument-functions-exclude-file-list=simd.h"]
    subprocess.run([*COMPILER, *flags, "-c", "-o", made[1], f"csrc/{TABLE}.c"], cwd=tree, check=True)
    return names(link(tree, made))


def names(library: Path) -> dict[int, str]:
    """The functions of a library by their addresses."""
    listed = subprocess.run(["nm", library], capture_output=True, text=True, check=True).stdout
    return {int(where, 16): name.split(".")[0] for where, name in re.findall(r"^(\w+) [tT] (\S+)$", listed, re.M)}
