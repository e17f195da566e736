"""How to search: the options that every method shares."""

import math
from dataclasses import dataclass

from emf.runtime.options import check_options, option

DECODING_METHODS = ("greedy", "beam", "modified_beam")


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How to search; the help of each field says what it does."""

    decoding_method: str = option(
        "beam",
        "Search with this method: greedy keeps one hypothesis, beam equals torchaudio's RNNTBeamSearch, "
        "modified_beam emits at most one token a frame.",
        choices=DECODING_METHODS,
        group="search",
    )
    beam_width: int = option(10, "Keep this many hypotheses in a beam search.", low=1, high=1000, group="search")
    beam_threshold: float = option(
        math.inf,
        "Drop hypotheses more than this far below the best score (natural logarithm).",
        above=0.0,
        unset="keep all",
        group="search",
    )
    temperature: float = option(
        1.0,
        "Divide the joiner's logits by this; greater values flatten the distribution.",
        low=0.01,
        high=100.0,
        group="search",
    )
    blank_penalty: float = option(
        0.0,
        "Subtract this from the blank's logit; positive values give fewer deletions.",
        low=-100.0,
        high=100.0,
        group="search",
    )
    step_max_tokens: int = option(
        100, "Emit at most this many tokens at one encoder frame.", low=1, high=10_000, group="search"
    )

    def __post_init__(self) -> None:
        check_options(self)
