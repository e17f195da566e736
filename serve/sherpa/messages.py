"""The messages of sherpa-onnx's streaming servers. Audio comes as binary messages, the end as the text `Done`.

Source of the fields: `OnlineRecognizerResult::AsJsonString` in k2-fsa/sherpa-onnx.
"""

import msgspec

from emf.runtime.artifact.tokens import WORD_BOUNDARY
from emf.serve.session.events import Passage

END = "Done"
"""What the client sends behind its audio."""
ENDED = "Done!"
"""What the server sends behind its last result."""

_SECONDS_DIGITS = 2
_PROBABILITY_DIGITS = 6
_ENCODER = msgspec.json.Encoder()


class Result(msgspec.Struct, frozen=True):
    """What a segment says so far; `timestamps` count from `start_time`, both in seconds.

    `ys_probs` are log-probabilities of the tokens. There is nothing to say in `lm_probs`, `context_scores`, `words`.
    """

    text: str
    tokens: list[str]
    timestamps: list[float]
    ys_probs: list[float]
    segment: int
    start_time: float
    is_final: bool
    is_eof: bool = False
    lm_probs: tuple[float, ...] = ()
    context_scores: tuple[float, ...] = ()
    words: tuple[int, ...] = ()


def result_of(passage: Passage, segment: int, is_final: bool) -> Result:
    """What is said of a passage."""
    details = passage.details
    return Result(
        text=passage.text,
        tokens=[token.replace(WORD_BOUNDARY, " ") for token in details.tokens] if details else [],
        timestamps=[round(t - details.start_time, _SECONDS_DIGITS) for t in details.timestamps] if details else [],
        ys_probs=[round(p, _PROBABILITY_DIGITS) for p in details.log_probs] if details else [],
        segment=segment,
        start_time=round(passage.start, _SECONDS_DIGITS),
        is_final=is_final,
    )


def encode(result: Result) -> str:
    """A result as text."""
    return _ENCODER.encode(result).decode()
