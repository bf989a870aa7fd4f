"""Small changes to Python code: where they can be made, and the text that each puts in place of what.

A change is one of a comparison, an arithmetic operator, and/or, not, a sign, a constant by one, a condition or a
conditional expression the other way round, a result that is None, a keyword argument left out. Not changed are
annotations, docstrings and all other text, __all__, what an error or a warning says, how a drawing looks (sizes of
letters, colors, widths), the samples and errors of cards, which are test data, and the constants and keywords of
recipes, which are settings.
"""

import ast
import re
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

COMPARED = {
    ast.Lt: ("<", ("<=", ">=")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<=")),
    ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
}
COMPUTED = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
}
TEST_DATA = ("samples", "errors")  # of cards
# Keywords of checks, of texts, and of the test data of cards.
GUARDS = {"strict", "stacklevel", "help", "metavar", "title", "description", "doc", "samples", "errors"}
LOOKS = {
    "fontsize", "fontweight", "labelsize", "color", "colors", "facecolor", "edgecolor", "linewidth", "lw", "linestyle",
    "alpha", "pad", "labelpad", "loc", "ha", "va", "rotation", "markersize", "s", "zorder", "cmap", "hspace", "wspace",
}  # fmt: skip
SAID = {"warn", "warning", "info", "_fail", "new_figure"}  # calls whose arguments are messages, or sizes of drawings


@dataclass(frozen=True)
class Change:
    """One change: `after` in place of `before` at `start` of the file's text; `lines` are those that show it."""

    path: str
    start: int
    before: str
    after: str
    line: int
    lines: tuple[int, ...]
    at_import: bool = False  # it is no part of a function
    default: bool = False  # of a parameter

    def applied(self, text: str) -> str:
        """The text of the changed file."""
        return text[: self.start] + self.after + text[self.start + len(self.before) :]


class Finder(ast.NodeVisitor):
    """Collects the changes of one module."""

    def __init__(self, path: str, text: str):
        self.path, self.text, self.found = path, text, []
        self.offsets = [0]
        for line in text.splitlines(keepends=True):
            self.offsets.append(self.offsets[-1] + len(line))
        self.lines_of_file = text.splitlines(keepends=True)
        self.functions = 0  # around what is visited
        self.uses: dict[str, list[int]] = defaultdict(list)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self.uses[node.id].append(node.lineno)
        self.statement: ast.stmt | None = None

    def begin(self, node) -> int:
        return self.at(node.lineno, node.col_offset)

    def end(self, node) -> int:
        return self.at(node.end_lineno, node.end_col_offset)

    def at(self, line: int, column: int) -> int:
        """The place in the text of a column, which ast counts in bytes."""
        return self.offsets[line - 1] + len(self.lines_of_file[line - 1].encode()[:column].decode())

    def add(self, start: int, stop: int, after: str, lines: tuple[int, ...] = ()):
        line = bisect_right(self.offsets, start)
        default = bool(lines)
        if not lines and self.statement is not None:
            # what spans lines is counted as covered where it begins or where the change is
            lines = (line, self.statement.lineno)
            targets = getattr(self.statement, "targets", [getattr(self.statement, "target", None)])
            if not self.functions and isinstance(targets[0], ast.Name):  # a constant shows where it is used
                lines = (*lines, *self.uses[targets[0].id])
        before = self.text[start:stop]
        self.found.append(Change(self.path, start, before, after, line, lines or (line,), not self.functions, default))

    def between(self, left, right, old: str, new: tuple[str, ...]):
        """The operator between two operands; comments there are left alone."""
        start, stop = self.end(left), self.begin(right)
        gap = self.text[start:stop]
        spelled = re.escape(old).replace(r"\ ", r"\s+")
        match = None if "#" in gap else re.search(rf"(?<!\w){spelled}(?!\w)" if old.isalpha() else spelled, gap)
        for after in new if match else ():
            self.add(start + match.start(), start + match.end(), after)

    def generic_visit(self, node):
        if isinstance(node, ast.stmt):
            self.statement = node
        super().generic_visit(node)

    def visit_FunctionDef(self, node):
        kinds = [part.annotation for part in node.args.args if part.annotation is not None]
        test_data = node.name.endswith(TEST_DATA) or any(isinstance(k, ast.Name) and k.id == "Rng" for k in kinds)
        if self.path.startswith("pynn/ops/") and test_data:
            return
        inside = ast.walk(ast.Module(node.body, []))
        body = tuple(sorted({part.lineno for part in inside if isinstance(part, ast.stmt)}))
        self.functions += 1
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if isinstance(default, (ast.Constant, ast.UnaryOp)):
                self.constant(default, body)
        for statement in node.body:
            self.visit(statement)
        self.functions -= 1

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node):
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node):
        self.statement = node
        if node.value is not None:
            self.visit(node.value)

    def visit_Assign(self, node):
        aliases = isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.BitOr)  # of types, mostly
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets) or aliases:
            return
        self.generic_visit(node)

    def visit_Raise(self, node):
        pass

    def visit_JoinedStr(self, node):
        pass

    def visit_Lambda(self, node):
        self.visit(node.body)

    def visit_If(self, node):
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.turned(node.test)
            self.generic_visit(node)

    def visit_While(self, node):
        self.generic_visit(node)

    def visit_IfExp(self, node):
        body, other = (self.text[self.begin(part) : self.end(part)] for part in (node.body, node.orelse))
        middle = self.text[self.end(node.body) : self.begin(node.orelse)]
        if "#" not in middle:
            self.add(self.begin(node.body), self.end(node.orelse), f"{other}{middle}{body}")
        self.generic_visit(node)

    def turned(self, test):
        """A condition the other way round, where no single operator does that."""
        if isinstance(test, (ast.Name, ast.Attribute, ast.Call, ast.BoolOp)):
            begin, end = self.begin(test), self.end(test)
            self.add(begin, end, f"not ({self.text[begin:end]})")

    def visit_Return(self, node):
        self.statement = node
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self.add(self.begin(node.value), self.end(node.value), "None")
        self.generic_visit(node)

    def visit_Compare(self, node):
        for left, op, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            self.between(left, right, *COMPARED[type(op)])
        self.generic_visit(node)

    def visit_BoolOp(self, node):
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self.between(left, right, old, (new,))
        self.generic_visit(node)

    def visit_BinOp(self, node):
        texts = any(isinstance(side, ast.JoinedStr) or is_text(side) for side in (node.left, node.right))
        if type(node.op) in COMPUTED and not texts:
            old, new = COMPUTED[type(node.op)]
            self.between(node.left, node.right, old, (new,))
        self.generic_visit(node)

    def visit_AugAssign(self, node):
        self.statement = node
        if type(node.op) in COMPUTED:
            old, new = COMPUTED[type(node.op)]
            self.between(node.target, node.value, old + "=", (new + "=",))
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        if isinstance(node.op, (ast.Not, ast.USub)):
            self.add(self.begin(node), self.begin(node.operand), "")
        self.generic_visit(node)

    def visit_Constant(self, node):
        self.constant(node, ())

    def constant(self, node, lines: tuple[int, ...]):
        if isinstance(node, ast.UnaryOp):
            self.add(self.begin(node), self.begin(node.operand), "", lines)
        elif self.path.startswith("pynn/recipes/"):
            return
        elif isinstance(node.value, bool):
            self.add(self.begin(node), self.end(node), str(not node.value), lines)
        elif isinstance(node.value, (int, float)):
            for step in (1, -1):
                self.add(self.begin(node), self.end(node), repr(node.value + step), lines)

    def visit_Call(self, node):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in SAID or name == "dataclass":
            return
        written = sorted([*node.args, *node.keywords], key=self.begin)
        left = GUARDS | LOOKS if self.path.startswith("pynn/viz/") else GUARDS
        recipe = self.path.startswith("pynn/recipes/")
        for index, argument in enumerate(written):
            if isinstance(argument, ast.keyword) and argument.arg and argument.arg not in left and not recipe:
                start = self.begin(argument) if index == 0 else self.end(written[index - 1])
                stop = self.end(argument)
                if index == 0 and len(written) > 1:
                    stop = self.begin(written[1])
                if "#" not in self.text[start:stop]:
                    self.add(start, stop, "")
        self.visit(node.func)
        for argument in written:
            if not (isinstance(argument, ast.keyword) and argument.arg in left):
                self.visit(argument)


def is_text(node: ast.AST) -> bool:
    """Whether a node is a string."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def changes_of(path: str, text: str) -> list[Change]:
    """All changes of a file, in the order of its text; not all of them compile."""
    finder = Finder(path, text)
    for statement in ast.parse(text).body:
        finder.visit(statement)
    return sorted(finder.found, key=lambda change: (change.start, change.after))


def compiles(change: Change, text: str) -> bool:
    """Whether a change leaves a module that Python reads, and another one than before."""
    try:
        return ast.dump(ast.parse(change.applied(text))) != ast.dump(ast.parse(text))
    except SyntaxError:
        return False


def python_files(tree: Path) -> list[str]:
    """The files that are changed."""
    return sorted(path.relative_to(tree).as_posix() for path in (tree / "pynn").rglob("*.py"))
