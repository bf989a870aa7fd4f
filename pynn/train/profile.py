"""Where the time of a training step goes, instruction by instruction."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np

from pynn.core.flat import STEPS_PER_CALL
from pynn.errors import printable
from pynn.ops.common import size
from pynn.train.network import Network
from pynn.train.stepping import recording
from pynn.train.turns import exclusive

__all__ = ["Profile", "profile"]


@dataclass
class Row:
    """One instruction: seconds and bytes are of one run.

    Attributes
    ----------
    read, written : int
        Bytes of the operands that are read and written, each once: of a table only the rows that are looked up. What
        stays in a cache between two instructions counts too; scratch memory does not.
    """

    op: str
    layer: str
    shape: tuple[int, ...]
    seconds: float
    flops: float
    read: int
    written: int

    @property
    def bytes(self) -> int:
        """Bytes read and written."""
        return self.read + self.written

    @property
    def gflops(self) -> float:
        """Billions of floating-point operations per second (0 where they are not counted)."""
        return self.flops / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def gbytes(self) -> float:
        """Billions of bytes read and written per second."""
        return self.bytes / self.seconds / 1e9 if self.seconds else 0.0


@dataclass
class Profile:
    """The instructions of a step with their mean times.

    Attributes
    ----------
    rows : list of Row
    seconds : float
        The sum over the instructions.
    arena_bytes : int
        Memory for all temporaries of the step.
    read, written : int
        Bytes moved in one step, over all instructions.
    """

    rows: list[Row]
    seconds: float
    arena_bytes: int

    @property
    def read(self) -> int:
        """Bytes read in one step."""
        return sum(row.read for row in self.rows)

    @property
    def written(self) -> int:
        """Bytes written in one step."""
        return sum(row.written for row in self.rows)

    def table(self) -> list[list[str]]:
        """Return the table as text, header first."""
        head = ["op", "layer", "shape", "us", "GFLOP/s", "GB/s", "KB read", "KB written"]
        body = [
            [
                row.op,
                printable(row.layer),
                "x".join(map(str, row.shape)) or "1",
                f"{row.seconds * 1e6:.2f}",
                f"{row.gflops:.1f}" if row.flops else "",
                f"{row.gbytes:.1f}",
                f"{row.read / 1e3:.1f}",
                f"{row.written / 1e3:.1f}",
            ]
            for row in self.rows
        ]
        moved = self.read + self.written
        flops = sum(row.flops for row in self.rows)
        total = [
            "total", "", "", f"{self.seconds * 1e6:.2f}", f"{flops / max(self.seconds, 1e-12) / 1e9:.1f}",
            f"{moved / max(self.seconds, 1e-12) / 1e9:.1f}", f"{self.read / 1e3:.1f}", f"{self.written / 1e3:.1f}",
        ]  # fmt: skip
        return [head, *body, total]

    def __str__(self) -> str:
        table = self.table()
        widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
        lines = [
            "  ".join(
                cell.ljust(w) if i < 3 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in table
        ]
        return "\n".join([*lines, f"temporaries: {self.arena_bytes / 1e3:.1f} KB in one arena"])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in self.table())
        return f"<table>{rows}</table>"


RATES = ((STEPS_PER_CALL,), np.dtype("float64"))  # of a step, one of them is read


def _nbytes(specs: tuple[Any, ...]) -> int:
    return sum(8 if spec == RATES else size(spec[0]) * spec[1].itemsize for spec in specs if spec is not None)


@exclusive
def profile(model: Network, x: Any, y: Any, batch_size: int, steps: int) -> Profile:
    """Time training steps; see Module.profile."""
    trainer = model._need_trainer("profile")
    data = trainer.data(x, y)
    n = min(batch_size, len(data))
    trainer.flatten()
    keep_weights, keep_state, keep_step = (
        model.get_weights(),
        trainer.optimizer.state(),
        trainer.slots.get("step"),
    )
    keep_iterations = trainer.optimizer.iterations
    perm = np.arange(len(data))
    try:
        rates = trainer.optimizer.rates(keep_step, 2)
        trainer.slots.set(offset=0, rate=rates)
        trainer.run_steps(data, perm, n, 1, False, True)  # records the program if there is none
        found = recording(trainer, data, n, True)
        if found is None:
            raise RuntimeError("[profile] expected a step that can be recorded. Received: one that changes the model.")
        program = found.program
        run = program.start()
        total = np.zeros(len(program))
        for slot, bound in enumerate([*data.arrays(), perm, *trainer.ledger.buffers]):
            run.bind(slot, bound)
        for turn in range(steps + 1):
            # The first step may clear a whole table, which later ones know to be clear: it is not counted.
            trainer.slots.set(offset=0, cursor=min(turn, 1), rate=rates)
            ns, _ = run.run_timed(1)
            total += ns if turn else 0
    finally:
        model.set_weights(keep_weights)
        trainer.optimizer.load_state(keep_state)
        trainer.optimizer.iterations = keep_iterations
        trainer.slots.set(step=keep_step, offset=0, cursor=0)
    rows = [
        Row(
            instr.card.name,
            instr.info.scope,
            next((spec[0] for spec in instr.info.outs if spec is not None), ()),
            seconds / steps / 1e9,
            instr.info.flops,
            *_moved(instr, n),
        )
        for instr, seconds in zip(program.instrs, total, strict=True)
    ]
    return Profile(rows, float(total.sum() / steps / 1e9), program.arena_bytes)


def _moved(instr: Any, n: int) -> tuple[int, int]:
    """Return bytes read and bytes written by an instruction of a step of n rows."""
    info, name = instr.info, instr.card.name
    outs = _nbytes(info.outs)
    if name in ("batch_rows", "batch_scaled"):  # of a data set, the rows of the batch
        shape, dtype = info.inputs[0]
        return n * size(shape[1:]) * dtype.itemsize + 8 * n, outs
    if name == "store_rows":
        return _nbytes(info.inputs[:1]), _nbytes(info.inputs[:1])
    if name in ("take", "embedding"):  # of a table, what is looked up
        found = _nbytes(info.outs[:1])
        return found + _nbytes(info.inputs[1:2]), found
    if name == "take.grad":
        return _nbytes(info.inputs[:2]), outs
    if name == "embedding.rows":  # the rows of the step before are cleared, those of this step added to
        dy = _nbytes(info.inputs[:1])
        return dy + _nbytes(info.inputs[1:2]) + dy, 2 * dy
    if name == "log_loss":  # one number of the losses of a call
        return 32, 24
    read = _nbytes(info.inputs)
    return (read + outs if instr.card.mutates else read), outs  # state is read before it is written
