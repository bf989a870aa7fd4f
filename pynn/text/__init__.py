"""Text on its way into a network: tokens and their ids, padded batches, windows of long texts.

>>> from pynn import text
>>> tokenizer = text.Tokenizer().fit(["the cat sat", "the dog"])
>>> text.pad_sequences(tokenizer.encode_batch(["the dog", "the cow sat"]), maxlen=3)
array([[4, 6, 0],
       [4, 2, 7]], dtype=int32)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pynn.errors import no_such_name

if TYPE_CHECKING:  # editors and type checkers see what is loaded when first used
    from pynn.text.generation import generate as generate
    from pynn.text.generation import load_language_model as load_language_model
    from pynn.text.phrases import Phrases as Phrases
    from pynn.text.sequences import bucket_by_length as bucket_by_length
    from pynn.text.sequences import pad_sequences as pad_sequences
    from pynn.text.sequences import sequence_lengths as sequence_lengths
    from pynn.text.tokenizer import Tokenizer as Tokenizer
    from pynn.text.vectors import KeyedVectors as KeyedVectors
    from pynn.text.vectors import UnknownWordError as UnknownWordError
    from pynn.text.windows import bptt_windows as bptt_windows
    from pynn.text.word2vec import Word2Vec as Word2Vec

# Name -> the module that has it; loaded when first used.
_LAZY = {
    "KeyedVectors": "vectors",
    "Phrases": "phrases",
    "Tokenizer": "tokenizer",
    "UnknownWordError": "vectors",
    "Word2Vec": "word2vec",
    "bptt_windows": "windows",
    "bucket_by_length": "sequences",
    "generate": "generation",
    "load_language_model": "generation",
    "pad_sequences": "sequences",
    "sequence_lengths": "sequences",
}

__all__ = sorted(_LAZY)


if not TYPE_CHECKING:  # type checkers find slips in names

    def __getattr__(name: str) -> Any:
        if name in _LAZY:
            import importlib

            return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
        raise no_such_name(__name__, name, _LAZY)


def __dir__() -> list[str]:
    return list(__all__)
