"""Training of word vectors on a block of text: word2vec, by skip-gram or CBOW."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.checks import MOST, MOST_SIZE, is_integer, written
from pynn.core.card import CARDS, Lowered, Sample, Spec, op
from pynn.core.kernels import word2vec as kernel
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops.common import Rng, need_float, need_held

CHUNK = 32  # positions that are worked on in one go (pynn/core/kernels/word2vec.pyx)
ROW = 16  # the stride of a row is a multiple of this
DOUBLE = np.dtype("float64")
GOLDEN = 0x9E3779B97F4A7C15
WORD = 2**64 - 1


def _mixed(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & WORD
    return z ^ (z >> 31)


def _stream(state: int) -> Iterator[int]:
    while True:
        state = (state + GOLDEN) & WORD
        yield _mixed(state)


def _window(text: list[int], p: int, reach: int) -> list[int]:
    left = right = p
    while left > 0 and p - left < reach and text[left - 1] >= 0:
        left -= 1
    while right + 1 < len(text) and right - p < reach and text[right + 1] >= 0:
        right += 1
    return [q for q in range(left, right + 1) if q != p]


def _need_settings(place: str, **settings: tuple[Any, int, int]) -> None:
    """Raise ShapeError unless each (value, least, most) is an integer within its bounds."""
    for name, (value, least, most) in settings.items():
        if not is_integer(value, least, most):
            raise ShapeError(f"[{place}] expected {name} from {least} to {most}. Received: {written(value)}.")


def _need_tables(alias: Tensor | None, path: Tensor | None, node: Tensor | None, code: Tensor | None,
                 words: int, longest: int) -> None:  # fmt: skip
    """Raise unless all that the kernel follows leads to rows: one look at each table for a block of text."""
    if alias is not None and alias.view().view(np.uint32)[:, 1].max() >= words:
        raise ShapeError(f"[word2vec_block] expected alias to lead to words below {words}.")
    if path is None and node is None and code is None:
        return
    if path is None or node is None or code is None or node.shape != code.shape or node.ndim != 1 or not node.size:
        came = tuple(None if x is None else x.shape for x in (path, node, code))
        raise ShapeError(f"[word2vec_block] expected path, node and code of one tree, or none. Received: {came}.")
    ends = path.view()
    steps = np.diff(ends)
    if ends[0] or ends[-1] != node.size or steps.min() < 0 or steps.max() > longest:
        raise ShapeError(f"[word2vec_block] expected paths of at most {longest} nodes, one after the other.")
    if node.view().view(np.uint32).max() >= words - 1:
        raise ShapeError(f"[word2vec_block] expected nodes below {words - 1}.")


@op("word2vec_block", "word2vec_block", mutates=True, differentiable=False,
    failure="expected ids of the vocabulary, or -1 between sentences")  # fmt: skip
class _Block:
    """rows += the steps of word2vec over a block of text; sums += its loss, predictions and words.

    Out are rows [R, stride] and sums float64 [3]; see pynn/core/kernels/word2vec.pyx for the operands. Batches are
    taken one after the other, and inside a batch every gradient is that of the weights before it.
    """

    def infer(rate: Tensor, ids: Tensor, keep: Tensor | None, alias: Tensor | None, path: Tensor | None,
              node: Tensor | None, code: Tensor | None, *, words: int, stride: int, window: int, shrink: bool,
              skipgram: bool, mean: bool, negative: int, batch: int, key: int, longest: int) -> Lowered:  # fmt: skip
        need_float("word2vec_block", rate)
        if rate.shape != (2,) or ids.ndim != 1:
            raise ShapeError(f"[word2vec_block] expected rate [2] and ids [n]. Received: {rate.shape} and {ids.shape}.")
        for what, x, shape in (("keep", keep, (words,)), ("alias", alias, (words, 2)), ("path", path, (words + 1,))):
            if x is not None and x.shape != shape:
                raise ShapeError(f"[word2vec_block] expected {what} of shape {shape}. Received: {x.shape}.")
        _need_settings(
            "word2vec_block", words=(words, 1, MOST_SIZE), stride=(stride, ROW, MOST_SIZE), window=(window, 1, 2**16),
            negative=(negative, 0, 2**16), batch=(batch, 1, 2**24), key=(key, 0, MOST), longest=(longest, 0, 2**16),
        )  # fmt: skip
        tables = {"ids": ids, "keep": keep, "alias": alias, "path": path, "node": node, "code": code}
        for what, x in tables.items():
            if x is not None:
                need_held("word2vec_block", what, x, np.uint8 if what == "code" else np.int32, x.shape)
        if (negative > 0) != (alias is not None):
            raise ShapeError(
                f"[word2vec_block] expected alias with negative words, and only then. Received: {negative}."
            )
        _need_tables(alias, path, node, code, words, longest)
        if stride % ROW or (batch > CHUNK and batch % CHUNK):
            raise ShapeError(
                f"[word2vec_block] expected a stride that is a multiple of {ROW}, and a batch of at most {CHUNK} or a "
                f"multiple of it. Received: stride={stride}, batch={batch}."
            )
        parts = words * (2 if negative else 1) + (words - 1 if path is not None else 0)
        dims = (ids.size, words, stride, window, int(shrink), int(skipgram), int(mean), negative, batch, key, longest)
        scratch = kernel.block_scratch(dims, rate.dtype.itemsize, path is not None)
        return Lowered((Spec((parts, stride), rate.dtype), Spec((3,), DOUBLE)), dims, (), rate.dtype, scratch)

    def ref(rate: np.ndarray, ids: np.ndarray, keep: Any, alias: Any, path: Any, node: Any, code: Any,
            rows: np.ndarray, sums: np.ndarray, *, words: int, stride: int, window: int, shrink: bool,
            skipgram: bool, mean: bool, negative: int, batch: int, key: int, longest: int) -> Any:  # fmt: skip
        rows, sums = rows.copy(), sums.copy()
        unsigned: list[Any] = [None if x is None else np.asarray(x).view(np.uint32) for x in (keep, alias)]
        thinning = _mixed(key + 1)
        text = [
            int(word)
            for i, word in enumerate(ids)
            if word < 0 or keep is None or _mixed((thinning + i * GOLDEN) & WORD) >> 32 <= unsigned[0][word]
        ]
        for lo in range(0, len(text), batch):
            change = np.zeros_like(rows)
            step = rate[0] + (rate[1] - rate[0]) * (lo / len(text))
            for p in range(lo, min(lo + batch, len(text))):
                if (p - lo) % min(CHUNK, batch) == 0:
                    bits = _stream(_mixed(key + 2 + p))
                word = text[p]
                if word < 0:
                    continue
                reach = 1 + ((next(bits) >> 32) * window >> 32) if shrink else window
                around = [text[q] for q in _window(text, p, reach)]
                if not around:
                    continue
                targets = []
                if negative:
                    targets.append((words + word, 1))
                    for _ in range(negative):
                        b = next(bits)
                        i = (b >> 32) * words >> 32
                        if b & 0xFFFFFFFF >= unsigned[1][i, 0]:
                            i = int(unsigned[1][i, 1])
                        if i != word:
                            targets.append((words + i, 0))
                if path is not None:
                    base = words * (2 if negative else 1)
                    branches = range(path[word], path[word + 1])
                    targets += [(base + int(node[i]), 1 - int(code[i])) for i in branches]
                t = [row for row, _ in targets]
                y = np.array([label for _, label in targets], float)
                for group in [[word] for word in around] if skipgram else [around]:
                    x = rows[group].mean(0) if mean else rows[group].sum(0)
                    s = rows[t] @ x
                    g = step * (y - 1 / (1 + np.exp(-s)))
                    np.add.at(change, t, g[:, None] * x)
                    np.add.at(change, group, g @ rows[t])
                    sums[0] += np.sum(np.logaddexp(0, s) - y * s)
                    sums[1] += 1
            rows += change
        sums[2] += sum(word >= 0 for word in text)
        return rows, sums

    def samples(r: Rng) -> Iterator[Sample]:
        words, node = 6, np.array([4, 0, 4, 1, 4, 1, 3, 4, 3, 4, 0, 2, 4, 0, 2], np.int32)
        path = np.array([0, 2, 4, 7, 9, 12, 15], np.int32)
        code = np.array([0, 0, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1], np.uint8)
        huffman = (path, node, code)
        alias = np.array([[2**31, 3], [2**32 - 1, 1], [9, 1], [2**30, 0], [2**32 - 1, 4], [2**31, 2]], np.uint32)
        keep = np.array([2**31, 2**30, 2**32 - 1, 2**32 - 1, 2**31, 2**32 - 1], np.uint32)
        text = r.integers(words + 1, 150, dtype="int32") - np.int32(1)
        for skipgram, mean, negative, tree, shrink, batch in (
            (False, True, 5, False, True, 64),
            (True, False, 5, False, True, 64),
            (False, False, 0, True, False, 32),
            (True, True, 0, True, True, 96),
            (True, False, 2, True, False, 32),
            (False, True, 3, True, True, 512),
            (True, False, 3, False, True, 7),
        ):
            parts = words * (2 if negative else 1) + (words - 1) * tree
            rows = np.concatenate([r(parts, 20), np.zeros((parts, 12))], axis=1) / 4
            attrs = {"words": words, "stride": 32, "window": 3, "shrink": shrink, "skipgram": skipgram, "mean": mean,
                     "negative": negative, "batch": batch, "key": 2**62 + 12345, "longest": 3}  # fmt: skip
            held = [
                None if x is None else Tensor.state(np.ascontiguousarray(x))
                for x in (
                    text,
                    keep.view(np.int32) if shrink else None,
                    alias.view(np.int32) if negative else None,
                    *(huffman if tree else (None,) * 3),
                )
            ]
            yield Sample((np.array([0.05, 0.01]), *held), attrs, state=(rows, Tensor.state(np.zeros(3))))
        nothing = (Tensor.state(text[:0]), None, Tensor.state(alias.view(np.int32)), None, None, None)
        state = (r(12, 32), Tensor.state(np.zeros(3)))
        yield Sample((np.array([0.05, 0.01]), *nothing), {**attrs, "batch": 32}, state=state)

    def errors(r: Rng) -> Iterator[Any]:
        attrs = {"words": 2, "stride": 16, "window": 1, "shrink": True, "skipgram": True, "mean": True, "negative": 1,
                 "batch": 32, "key": 1, "longest": 0}  # fmt: skip
        rate, ids, alias = np.ones(2, np.float32), np.zeros(3, np.int32), np.zeros((2, 2), np.int32)
        rest = (None, None, None)
        yield (rate[:1], ids, None, alias, *rest), attrs, ShapeError, r"\[word2vec_block\] .*Received"
        yield (rate, ids, alias, alias, *rest), attrs, ShapeError, r"expected keep of shape \(2,\). Received"
        yield (rate, ids, None, alias, *rest), {**attrs, "batch": 33}, ShapeError, r"batch=33"


BLOCK = CARDS["word2vec_block"]
