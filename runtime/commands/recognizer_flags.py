"""The flags by which every command chooses how an artifact is decoded."""

import argparse
from collections.abc import Collection
from pathlib import Path

from emf.runtime.commands.command_line import CommandParser, bounded
from emf.runtime.commands.option_flags import add_option_flags, options_from
from emf.runtime.errors import UsageError
from emf.runtime.guidance.fusion import DEFAULT_WEIGHT, MAX_WEIGHT, MAX_WORD_SCORE, LanguageModel
from emf.runtime.guidance.phrases import read_phrases
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.recognition.options import RecognizerOptions

VARIANT_OPTIONS = ("backend", "precision")
"""For one variant; a command that compares variants has no flags for them."""


def add_artifact(parser: CommandParser) -> None:
    """Add the artifact."""
    parser.add_argument("artifact", type=Path, help="Open this folder, which emf-export wrote.")


def add_recognizer_flags(parser: CommandParser, omit: Collection[str] = (), heading: str = "") -> None:
    """Add the options of `Recognizer.load`, but for those that the command has no use for; see `add_option_flags`."""
    add_option_flags(parser, RecognizerOptions, omit, heading)
    group = parser.add_argument_group(f"{heading}guidance")
    group.add_argument(
        "--phrases",
        type=Path,
        metavar="FILE",
        help="Make the phrases of this file likelier: one a line, with a score behind a tab. Default: none.",
    )
    group.add_argument(
        "--language-model",
        type=Path,
        metavar="FILE",
        help="Let n-grams of words guide a beam search: an ARPA file. Default: none.",
    )
    group.add_argument(
        "--language-model-weight",
        type=bounded(float, 0, MAX_WEIGHT),
        metavar="FLOAT",
        help=f"Multiply the language model's logarithms by this. Default: {DEFAULT_WEIGHT}.",
    )
    group.add_argument(
        "--word-score",
        type=bounded(float, -MAX_WORD_SCORE, MAX_WORD_SCORE),
        metavar="FLOAT",
        help="Add this for every word with a language model; positive values give fewer deletions. Default: 0.",
    )


def read_decoding(flags: argparse.Namespace, omit: Collection[str] = ()) -> Decoding:
    """How to decode, from the flags and the files that they name; `omit` as for `add_recognizer_flags`.

    Raises:
        UsageError: a file is missing or malformed, or flags contradict each other.
    """
    phrases = read_phrases(flags.phrases) if flags.phrases else {}
    return Decoding(options_from(flags, RecognizerOptions, omit), phrases, _read_language_model(flags))


def _read_language_model(flags: argparse.Namespace) -> LanguageModel | None:
    weight, word_score = flags.language_model_weight, flags.word_score
    if flags.language_model is None:
        if weight is not None or word_score is not None:
            raise UsageError("expected --language-model with its weight or --word-score; name an ARPA file")
        return None
    return LanguageModel.read(flags.language_model, DEFAULT_WEIGHT if weight is None else weight, word_score or 0.0)
