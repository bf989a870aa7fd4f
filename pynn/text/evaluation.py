"""How good word vectors are: analogies, and agreement with what people say of pairs of words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.errors import DataError

if TYPE_CHECKING:
    from pynn.text.vectors import KeyedVectors

__all__ = ["largest", "word_analogies", "word_pairs"]

GUESSES = 5  # of which the first that is no word of the question counts
ROWS_AT_ONCE = 128

Question = tuple[str, str, str, str]


def largest(values: np.ndarray, n: int) -> list[int]:
    """Return the places of the n largest values, the largest first."""
    n = min(max(n, 0), len(values))
    if n == 0:
        return []
    top = np.argpartition(values, len(values) - n)[len(values) - n :]
    return [int(i) for i in top[np.argsort(-values[top], kind="stable")]]


def word_analogies(
    wv: KeyedVectors, path: str | os.PathLike[str], restrict_vocab: int, case_insensitive: bool, dummy4unknown: bool
) -> tuple[float, list[dict[str, Any]]]:
    """See :meth:`pynn.text.KeyedVectors.evaluate_word_analogies`."""
    known = _known(wv, restrict_vocab, case_insensitive)
    sections: list[dict[str, Any]] = []
    asked: list[tuple[int, Question]] = []
    for number, line in _lines(path):
        if line.startswith(": "):
            sections.append({"section": line[2:].strip(), "correct": [], "incorrect": []})
            continue
        words = (line.upper() if case_insensitive else line).split()
        if len(words) != 4:
            continue
        if not sections:
            raise DataError(
                f"[evaluate_word_analogies] expected a line ': name' before the first question of {os.fspath(path)!r}. "
                f"Received: {line.strip()[:60]!r} in line {number}."
            )
        question: Question = (words[0], words[1], words[2], words[3])
        if all(word in known for word in question):
            asked.append((len(sections) - 1, question))
        elif dummy4unknown:
            sections[-1]["incorrect"].append(question)
    right = _answers(wv, known, [question for _, question in asked], restrict_vocab, case_insensitive)
    for (section, question), good in zip(asked, right, strict=True):
        sections[section]["correct" if good else "incorrect"].append(question)
    total: dict[str, Any] = {"section": "Total accuracy"}
    for key in ("correct", "incorrect"):
        total[key] = [question for section in sections for question in section[key]]
    count = len(total["correct"]) + len(total["incorrect"])
    return len(total["correct"]) / count if count else 0.0, [*sections, total]


def _answers(
    wv: KeyedVectors, known: dict[str, int], questions: list[Question], restrict_vocab: int, case_insensitive: bool
) -> list[bool]:
    unit = wv.unit_vectors()[:restrict_vocab]
    places = np.array([[known[word] for word in question] for question in questions], np.int64).reshape(-1, 4)
    right = []
    for start in range(0, len(questions), ROWS_AT_ONCE):
        at = places[start : start + ROWS_AT_ONCE]
        cosine = (unit[at[:, 1]] - unit[at[:, 0]] + unit[at[:, 2]]) @ unit.T
        np.put_along_axis(cosine, at[:, :3], -np.inf, axis=1)
        best = cosine.argmax(axis=1)
        for row, question in enumerate(questions[start : start + ROWS_AT_ONCE]):
            answer = _spelt(wv, best[row], case_insensitive)
            if answer in question[:3]:  # another spelling of a word of the question
                for i in largest(cosine[row], GUESSES):
                    answer = _spelt(wv, i, case_insensitive)
                    if answer not in question[:3]:
                        break
            right.append(answer == question[3])
    return right


def _spelt(wv: KeyedVectors, i: int, case_insensitive: bool) -> str:
    word = wv.index_to_key[i]
    return word.upper() if case_insensitive else word


def word_pairs(
    wv: KeyedVectors,
    path: str | os.PathLike[str],
    delimiter: str | None,
    restrict_vocab: int,
    case_insensitive: bool,
    dummy4unknown: bool,
) -> tuple[tuple[float, float], tuple[float, float], float]:
    """See :meth:`pynn.text.KeyedVectors.evaluate_word_pairs`."""
    from scipy import stats  # takes half a second to import

    known = _known(wv, restrict_vocab, case_insensitive)
    unit = wv.unit_vectors()
    people, model, unknown = [], [], 0
    for _, line in _lines(path):
        parts = line.rstrip("\r\n").split(delimiter or ("\t" if "\t" in line else ","))
        try:
            a, b, figure = parts[0], parts[1], float(parts[2])
        except (IndexError, ValueError):
            continue
        if len(parts) != 3 or line.startswith("#"):
            continue
        places = [known.get(word.upper() if case_insensitive else word) for word in (a, b)]
        if None in places:
            unknown += 1
            if not dummy4unknown:
                continue
        people.append(figure)
        model.append(0.0 if None in places else float(unit[places[0]] @ unit[places[1]]))
    if len(people) < 2:
        raise DataError(
            f"[evaluate_word_pairs] expected at least two pairs of known words in {os.fspath(path)!r}. "
            f"Received: {len(people)}, and {unknown} of unknown words. help: lines of word, word, figure are meant."
        )
    pearson, spearman = stats.pearsonr(people, model), stats.spearmanr(people, model)
    seen = len(people) if dummy4unknown else len(people) + unknown
    return (
        (float(pearson[0]), float(pearson[1])),
        (float(spearman[0]), float(spearman[1])),
        100.0 * unknown / seen,
    )


def _known(wv: KeyedVectors, restrict_vocab: int, case_insensitive: bool) -> dict[str, int]:
    words = wv.index_to_key[:restrict_vocab]
    spelt = [word.upper() for word in words] if case_insensitive else words
    return {word: i for i, word in reversed(list(enumerate(spelt)))}  # of two alike the first counts


def _lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    try:
        with open(path, encoding="utf-8") as file:
            yield from enumerate(file, 1)
    except UnicodeDecodeError as error:
        raise DataError(f"{os.fspath(path)}: expected text in UTF-8. Received: {error.reason}.") from error
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: cannot be read. Received: {error.strerror or error}.") from error
