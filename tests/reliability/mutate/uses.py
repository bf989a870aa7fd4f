"""Where the package uses a name: for changes to what runs at import, which no test is seen to run.

`vars(FUNCTIONS).update(max=reduce.max)` shows in what runs `max` of pynn/ops/reduce.py; `LARGEST = 7` and the attribute
of a class show where the name is read, in any file.
"""

import ast
import re
from collections import defaultdict
from pathlib import Path

from changes import Change, python_files

Places = dict[str, set[int]]  # lines of files


class Uses:
    """The lines of all functions of a tree that read a name, and those that make up the functions of a name."""

    def __init__(self, tree: Path):
        self.reads: dict[str, Places] = defaultdict(lambda: defaultdict(set))
        self.bodies: dict[str, Places] = defaultdict(lambda: defaultdict(set))
        self.texts = {path: (tree / path).read_text(encoding="utf-8") for path in python_files(tree)}
        for path, text in self.texts.items():
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    self.note(path, node)

    def note(self, path: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Write down what a function reads, and where it is."""
        for node in ast.walk(ast.Module(function.body, [])):
            if isinstance(node, ast.stmt):
                self.bodies[function.name][path].add(node.lineno)
            if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load):
                self.reads[node.id if isinstance(node, ast.Name) else node.attr][path].add(node.lineno)

    def of(self, change: Change) -> Places:
        """The lines that may show a change to what runs at import."""
        bound, read, imported = names(change, self.texts[change.path])
        found: Places = defaultdict(set)
        for name in bound:
            for path, lines in self.reads[name].items():
                found[path] |= lines
        for name in read:
            for path, lines in self.bodies[name].items():
                if path == change.path or Path(path).stem in imported:
                    found[path] |= lines
        return found


def names(change: Change, text: str) -> tuple[set[str], set[str], set[str]]:
    """What the statement of a change binds, what the changed part reads, and the modules that its file imports."""
    bound, imported, line = set(), set(), set()
    read = set(re.findall(r"[^\W\d]\w*", change.before))  # a keyword that is left out begins on the line before it
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imported |= {alias.name.split(".")[-1] for alias in node.names}
            imported |= {(getattr(node, "module", None) or "").split(".")[-1]}
        if not hasattr(node, "lineno") or not node.lineno <= change.line <= node.end_lineno:
            continue
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            for target in getattr(node, "targets", None) or [node.target]:
                bound |= {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
        if not read and node.lineno == change.line and isinstance(node, (ast.Name, ast.Attribute)):
            line.add(node.id if isinstance(node, ast.Name) else node.attr)
    return bound, read or line, imported
