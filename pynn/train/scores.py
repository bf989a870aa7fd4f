"""What a model with several outputs hands to its losses: the outputs by name, and what each loss is computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pynn import losses
from pynn.core.tensor import Tensor
from pynn.losses.logits import Scores

__all__ = ["Losses", "SeveralScores", "by_name"]


def by_name(out: Any, names: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Return the outputs of a model by name: the keys of a dict, given ones, or output_1, output_2 ...

    Raises
    ------
    TypeError
        If something else than tensors is among them.
    """
    items: Any = out.items() if isinstance(out, Mapping) else None
    if items is None and isinstance(out, (tuple, list)):
        found = names if names is not None and len(names) == len(out) else [f"output_{i + 1}" for i in range(len(out))]
        items = zip(found, out, strict=True)
    if items is None:
        items = [(names[0] if names else "output_1", out)]
    table = {str(key): value for key, value in items}
    for key, value in table.items():
        if not isinstance(value, Tensor):
            raise TypeError(
                f"[fit] expected forward() to return a tensor, or a tuple, list or dict of tensors. "
                f"Received: {type(value).__name__} as output {key!r}."
            )
    return table


class Losses:
    """The losses of several outputs, and their weights in the sum that is minimized.

    Attributes
    ----------
    of : dict of str to Loss
    weights : dict of str to float
    """

    activation = None  # of the whole: each loss has its own

    def __init__(self, of: dict[str, losses.Loss], weights: dict[str, float]):
        self.of, self.weights = of, weights

    @property
    def name(self) -> str:
        """What is minimized, for people."""
        return ", ".join(f"{loss.name} of {name}" for name, loss in self.of.items())

    def __getitem__(self, name: str) -> losses.Loss:
        return self.of[name]

    def __repr__(self) -> str:
        return f"Losses({', '.join(f'{name}={loss!r}' for name, loss in self.of.items())})"


class SeveralScores:
    """What a model hands to several losses; as :class:`pynn.losses.logits.Scores` for one.

    Attributes
    ----------
    each : list of Scores
    parts : list of Tensor
        The loss of each output, once it is computed.
    """

    def __init__(self, heads: Sequence[Any], each: list[Scores], total: Any):
        self._heads, self.each, self._total = heads, each, total
        self.parts: list[Tensor] = []

    @property
    def values(self) -> list[Tensor]:
        """Logits or outputs, as each loss takes them."""
        return [scores.values for scores in self.each]

    def loss(self, _: Any, y: list[Tensor], w: list[Tensor | None] | None) -> Tensor:
        """Return the weighted sum of the mean losses."""
        weights = [None] * len(y) if w is None else w
        self.parts = [
            scores.loss(head.loss, t, v) for head, scores, t, v in zip(self._heads, self.each, y, weights, strict=True)
        ]
        total: Tensor = self._total(self.parts)
        return total

    def activated(self, _: Any) -> list[Tensor]:
        """Return the outputs."""
        return [scores.activated(head.loss) for head, scores in zip(self._heads, self.each, strict=True)]
