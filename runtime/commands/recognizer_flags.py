"""The flags by which commands choose how an artifact is opened."""

import argparse
import math
from pathlib import Path

from emf.runtime.audio.features import FRONTENDS
from emf.runtime.commands.command_line import CommandParser, bounded
from emf.runtime.errors import UsageError
from emf.runtime.guidance.biasing import parse_phrases
from emf.runtime.guidance.fusion import DEFAULT_WEIGHT, MAX_WEIGHT, MAX_WORD_SCORE, LanguageModel
from emf.runtime.inference.instrument import Instrument
from emf.runtime.inference.session import BACKENDS
from emf.runtime.inference.threads import MAX_THREADS
from emf.runtime.recognition.endpoint import EndpointRules
from emf.runtime.recognition.recognizer import SEARCH_METHODS, Recognizer


def add_recognizer_flags(parser: CommandParser) -> None:
    """Add the artifact and the options of `Recognizer.load`."""
    parser.add_argument("artifact", type=Path, help="folder that emf-export wrote")
    parser.add_argument("--backend", choices=BACKENDS, help="engine (default: the artifact's first)")
    parser.add_argument("--precision", help="variant, such as int8 (default: fp32)")
    parser.add_argument(
        "--decoding-method", choices=tuple(SEARCH_METHODS), default="beam", help="search (default: beam)"
    )
    parser.add_argument("--beam-width", type=bounded(int, 1, 1000), default=10, help="hypotheses kept (default: 10)")
    parser.add_argument(
        "--beam-threshold",
        type=bounded(float, 0.001, 1000),
        default=math.inf,
        help="drop hypotheses whose score lies further below the best (default: none)",
    )
    parser.add_argument("--frontend", choices=FRONTENDS, help="features (default: the artifact's)")
    parser.add_argument("--num-threads", type=bounded(int, 1, MAX_THREADS), help="threads (default: all there are)")
    parser.add_argument(
        "--blank-penalty", type=bounded(float, -100, 100), help="against deletions (default: the variant's own)"
    )
    parser.add_argument("--temperature", type=bounded(float, 0.01, 100), default=1.0, help="of the joiner's softmax")
    parser.add_argument("--phrases", type=Path, help="likelier phrases, one a line, with a score behind a tab")
    parser.add_argument("--language-model", type=Path, help="n-grams of words, an ARPA file; not for greedy search")
    parser.add_argument(
        "--language-model-weight",
        type=bounded(float, 0, MAX_WEIGHT),
        help=f"of its logarithms (default: {DEFAULT_WEIGHT})",
    )
    parser.add_argument(
        "--word-score",
        type=bounded(float, -MAX_WORD_SCORE, MAX_WORD_SCORE),
        help="added for every word with a language model (default: 0)",
    )
    parser.add_argument("--stable-delay", type=bounded(float, 0, 3600), help="seconds until disputed words are settled")
    parser.add_argument("--cache-dir", type=Path, help="where OpenVINO keeps compiled graphs (default: nowhere)")
    parser.add_argument("--tail-padding", type=bounded(float, 0, 60), help="silence appended at the end, seconds")


def load_recognizer(
    options: argparse.Namespace, instrument: Instrument | None = None, endpoint: EndpointRules | None = None
) -> Recognizer:
    """The recognizer that the flags describe; `instrument` looks in, `endpoint` ends segments."""
    return Recognizer.load(
        options.artifact,
        backend=options.backend,
        precision=options.precision,
        decoding_method=options.decoding_method,
        beam_width=options.beam_width,
        beam_threshold=options.beam_threshold,
        frontend=options.frontend,
        num_threads=options.num_threads,
        blank_penalty=options.blank_penalty,
        temperature=options.temperature,
        tail_padding=options.tail_padding,
        phrases=_read_phrases(options.phrases) if options.phrases else None,
        language_model=_read_language_model(options),
        stable_delay=options.stable_delay,
        endpoint=endpoint,
        cache_dir=options.cache_dir,
        instrument=instrument,
    )


def _read_language_model(options: argparse.Namespace) -> LanguageModel | None:
    weight, word_score = options.language_model_weight, options.word_score
    if options.language_model is None:
        if weight is not None or word_score is not None:
            raise UsageError("expected --language-model with its weight or --word-score; name an ARPA file")
        return None
    return LanguageModel.read(options.language_model, DEFAULT_WEIGHT if weight is None else weight, word_score or 0.0)


def _read_phrases(path: Path) -> dict[str, float]:
    try:
        return parse_phrases(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: expected a text file with a phrase on every line ({error})") from error
