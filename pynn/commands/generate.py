"""``pynn generate``: text out of a saved language model."""

from __future__ import annotations

import argparse

from pynn.errors import printable

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> None:
    """Print the prompt and what the model goes on with."""
    from pynn.text.generation import generate, load_language_model

    model, tokenizer = load_language_model(arguments.model)
    written = generate(
        model,
        tokenizer,
        arguments.prompt,
        arguments.length,
        temperature=arguments.temperature,
        seed=arguments.seed,
    )
    between = " " if tokenizer.level == "word" and arguments.prompt else ""
    print(arguments.prompt + between + printable(written, "\n\t"))
