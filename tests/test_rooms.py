"""The rooms: imports go downward only, in Cython and C as in Python, and nowhere in a circle.

lint-imports holds Python to the contract in pyproject.toml. Here the same order is read from there and holds for Cython
(import and cimport) as well, and what a linter does not see is tested: circles inside a room, includes in C, what
`import pynn` loads, and that the methods of a model show their arguments.
"""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pynn import nn
from pynn.train import evaluate, fit
from pynn.train.trainable import Trainable

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="needs the source tree")


def rooms() -> dict[str, int]:
    """Return the height of each room, as the contract of lint-imports says."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        [contract] = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    assert contract["exhaustive"]
    assert len(contract.get("ignore_imports", ())) <= 1
    layers = reversed(contract["layers"])
    return {room.strip(" ()"): height for height, layer in enumerate(layers) for room in re.split("[|:]", layer)}


def sources() -> dict[str, list[Path]]:
    """Return the files of each module: .py, or .pyx, .pxd and .pxi."""
    found: dict[str, list[Path]] = {}
    for path in sorted((ROOT / "pynn").rglob("*")):
        if path.suffix in (".py", ".pyx", ".pxd", ".pxi"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found.setdefault(name, []).append(path)
    return found


def python_imports(text: str) -> list[tuple[str, list[str]]]:
    """Return (module, names) of every import, those inside functions too; not those for type checkers alone."""
    found = []
    stack: list[ast.AST] = [ast.parse(text)]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            stack += node.orelse
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are written in full"
            found.append((node.module or "", [alias.name for alias in node.names]))
        stack += ast.iter_child_nodes(node)
    return found


def cython_imports(text: str) -> list[tuple[str, list[str]]]:
    """Return the same of Cython: import and cimport."""
    text = re.sub(r"#[^\n]*", "", text)
    found = [(name, []) for name in re.findall(r"^\s*c?import ([\w.]+)", text, re.M)]
    for module, names in re.findall(r"^\s*from ([\w.]+) c?import (\([^)]*\)|[^\n]*)", text, re.M):
        found.append((module, [re.split(r"\s+as\s+", n.strip())[0] for n in names.strip("()").split(",") if n.strip()]))
    return found


def imports() -> dict[str, set[str]]:
    """Return the modules of pynn that each module of pynn imports."""
    files = sources()
    graph: dict[str, set[str]] = {}
    for name, paths in files.items():
        graph[name] = set()
        for path in paths:
            read = python_imports if path.suffix == ".py" else cython_imports
            for module, names in read(path.read_text(encoding="utf-8")):
                if module.partition(".")[0] != "pynn":
                    continue
                assert module in files, f"{path}: {module}"
                inner = {f"{module}.{n}" for n in names if f"{module}.{n}" in files}
                graph[name] |= inner | ({module} if not names or len(inner) < len(names) else set())
        graph[name].discard(name)
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return what can be reached from each other (Tarjan), largest first; without what stands alone."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    found = []

    def visit(v: str) -> None:
        number[v] = low[v] = len(number)
        path.append(v)
        for w in sorted(graph[v]):
            if w not in number:
                visit(w)
            if w in path:
                low[v] = min(low[v], low[w])
        if low[v] == number[v]:
            at = path.index(v)
            if len(path) - at > 1 or v in graph[v]:
                found.append(sorted(path[at:]))
            del path[at:]

    for v in graph:
        if v not in number:
            visit(v)
    return sorted(found, key=len, reverse=True)


def test_circles_are_found():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}, "g": {"g"}}
    assert circles(graph) == [["a", "b", "c"], ["d", "e"], ["g"]]


def test_every_import_is_seen():
    text = "import pynn\nfrom pynn import (\n    nn,\n    ops as o,\n)\ndef f():\n    from pynn.io import registry\n"
    typed = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pynn import viz\nelse:\n    import pynn.text\n"
    )
    wanted = [("pynn", []), ("pynn", ["nn", "ops"]), ("pynn.io", ["registry"])]
    assert sorted(python_imports(text)) == sorted(cython_imports(text)) == wanted
    assert sorted(python_imports(typed)) == [("pynn.text", []), ("typing", ["TYPE_CHECKING"])]
    assert cython_imports(
        "from pynn.core._core cimport (\n    i64,  # an index\n    pn_instr as p,\n)\ncimport cython"
    ) == [
        ("cython", []),
        ("pynn.core._core", ["i64", "pn_instr"]),
    ]


def test_imports_go_downward_only():
    height = rooms()
    assert {name.split(".")[1] for name in sources() if "." in name} <= set(height), "a module stands in no room"
    upward = [
        f"{name} -> {other}"
        for name, others in imports().items()
        for other in sorted(others)
        if name != "pynn" and other != "pynn" and name.split(".")[1] != other.split(".")[1]
        if height[name.split(".")[1]] < height[other.split(".")[1]]
    ]
    assert upward == []
    below = {name.split(".")[1] for name, others in imports().items() if "pynn" in others}
    assert min(height[room] for room in below) > height["nn"], "the whole of pynn is there for the rooms on top alone"


@pytest.mark.parametrize("folder", ["guide", "es/guide"])
def test_the_picture_in_the_docs_shows_the_same_order(folder):
    page = (ROOT / "docs" / folder / "design.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[0] for line in page.splitlines() if re.match(r"\| `\w", line)]
    with open(ROOT / "pyproject.toml", "rb") as file:
        [contract] = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    layers = [layer.removesuffix(" : _version") for layer in contract["layers"] if layer != "__main__"]
    assert [re.findall(r"`([^`]+)`", row) for row in rows] == [re.split(r" [|:] ", layer) for layer in layers]


def test_no_module_imports_itself_by_a_detour():
    assert circles(imports()) == []


def test_the_compiled_core_needs_the_core_alone():
    compiled = {name for name, paths in sources().items() if paths[0].suffix != ".py"}
    assert len(compiled) > 5
    graph = imports()
    needed = {other for name in compiled for other in graph[name]}
    assert {name for name in needed if not name.startswith(("pynn.core", "pynn.errors"))} == set()


def test_only_facades_import_by_name():
    """Names in texts are for people who write `pynn.nn`; inside, they would go round the order of the rooms."""
    by_name = re.compile(r"import_module\((.*)\)|__import__\((.*)\)")
    found = {}
    for name, paths in sources().items():
        calls = [call for path in paths for call in by_name.findall(path.read_text(encoding="utf-8"))]
        if calls and paths[0].name != "__init__.py":
            found[name] = ["".join(call) for call in calls]
    assert all(call.startswith('"') and not call.startswith('"pynn') for calls in found.values() for call in calls), (
        found
    )


@pytest.mark.parametrize("name", ["pynn", "pynn.io", "pynn.onnx", "pynn.text", "pynn.train"])
def test_editors_see_what_is_loaded_when_first_used(name):
    facade = importlib.import_module(name)
    [path] = sources()[name]
    seen = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for line in node.body:
                assert isinstance(line, ast.ImportFrom)
                seen |= {alias.name: line.module for alias in line.names}
    late = set(facade.__all__) - set(vars(facade)) | set(seen)
    assert late == set(seen)
    for item, home in seen.items():
        if home != "pynn":
            assert getattr(facade, item) is getattr(importlib.import_module(home), item)


# C


def without_comments(path: Path) -> str:
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", path.read_text(encoding="utf-8"), flags=re.S)


def includes() -> dict[str, set[str]]:
    """Return the files of csrc that each file of csrc includes."""
    graph = {}
    for path in sorted(p for p in CSRC.rglob("*") if p.suffix in (".c", ".h", ".def")):
        graph[path.relative_to(CSRC).as_posix()] = found = set()
        for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', without_comments(path), re.M):
            target = next(t for t in (path.parent / name, CSRC / name) if t.exists()).resolve()
            found.add(target.relative_to(CSRC).as_posix())
    return graph


def defined(text: str) -> set[str]:
    """Return the names that a header defines, but for those that only say for which target it is compiled (PN_...)."""
    names = re.findall(r"^\s*#\s*define\s+(\w+)", text, re.M)
    names += re.findall(r"^(?:static|GEMM_INLINE)[^\n=;{]*?\b(\w+)\(", text, re.M)
    names += re.findall(r"^\}\s*(\w+);", text, re.M)
    return {name for name in names if not name.startswith("PN_")}


def test_headers_include_downward_only():
    graph = includes()
    assert len(graph) > 50
    assert circles(graph) == []
    collections = {"all_kernels.h", "isa_pairs.h"}
    # A device's code is one unit, compiled for the device: no function is linked to it.
    assert {other for other in graph["cuda/device.h"] if other.endswith(".c")} == {"scalar_math.c"}
    graph["cuda/device.h"].remove("scalar_math.c")
    for name, others in graph.items():
        if name.endswith(".h") and "/" not in name and name not in collections:
            assert not any(other.startswith("kernels/") for other in others), name
        assert not any(other.endswith(".c") for other in others), name
        if name.startswith("kernels/"):
            assert not others & collections, name


def test_no_kernel_uses_what_the_including_file_defines():
    """A header that is only right where it is included includes the other in all but name."""
    graph = includes()
    texts = {name: without_comments(CSRC / name) for name in graph}
    made = {name: defined(text) for name, text in texts.items()}
    used = {name: set(re.findall(r"\b[A-Za-z_]\w*\b", text)) for name, text in texts.items()}

    def below(name: str) -> set[str]:
        return graph[name].union(*map(below, graph[name]))

    kernels = [name for name in graph if name.startswith("kernels/")]
    faults = {
        (name, other): sorted((made[name] - made[other]) & used[other])
        for name in kernels
        for other in below(name)
        if other.endswith(".h")  # a table (.def) is what the including file makes of its rows
        if (made[name] - made[other]) & used[other]
    }
    assert faults == {}


# What people see


def test_import_pynn_loads_no_more_than_it_shows():
    code = "import sys, pynn; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-P", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    names = set(loaded.stdout.split())
    assert "pynn.ops" in names
    late = ("pynn.nn", "pynn.train", "pynn.io", "pynn.losses", "pynn.viz", "scipy", "onnx", "matplotlib", "tqdm")
    assert not {name for name in names if name in late or name.startswith(tuple(f"{m}." for m in late))}


def test_making_layers_loads_no_training():
    code = "import sys, pynn.nn; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-P", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"pynn.train.fit", "pynn.train.trainer", "pynn.optim", "tqdm"} & set(loaded.stdout.split())


@pytest.mark.parametrize("name", ["compile", "fit", "evaluate", "predict", "predict_fn", "train_on_batch", "save"])
def test_the_methods_of_a_model_show_every_argument(name):
    method = getattr(nn.Module, name)
    shown = inspect.signature(method).parameters
    assert not any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in shown.values())
    for parameter in list(shown.values())[1:]:
        assert parameter.annotation is not parameter.empty, parameter
        if name != "train_on_batch":
            assert re.search(rf"^\s*(\w+, )*{parameter.name}(, \w+)*( :|$)", method.__doc__, re.M), parameter
    assert inspect.signature(method).return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize(
    ("name", "work"), [("fit", fit.fit), ("evaluate", evaluate.evaluate), ("predict", evaluate.predict)]
)
def test_the_methods_of_a_model_take_what_the_work_takes(name, work):
    shown, taken = inspect.signature(getattr(Trainable, name)).parameters, inspect.signature(work).parameters
    assert set(shown) - {"self"} == set(taken) - {"model"}
    for key in set(shown) - {"self"}:
        assert taken[key].default in (inspect.Parameter.empty, shown[key].default), key
