"""A row of tokens as text, times and words, which grows at its end at the cost of what is new."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import exp

from emf.runtime.artifact.byte_fallback import read_spelling
from emf.runtime.artifact.confidence import ConfidenceCurve
from emf.runtime.artifact.tokens import TokenTable
from emf.runtime.recognition.result import Word
from emf.runtime.search.emissions import Emissions


@dataclass(frozen=True, slots=True)
class Spelling:
    """How tokens are read.

    Attributes:
        table: their pieces.
        seconds_per_frame: stream time of an encoder frame.
        calibration: makes the confidence of words a probability; `None` leaves it raw.
    """

    table: TokenTable
    seconds_per_frame: float
    calibration: ConfidenceCurve | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """Tokens and all that a `Result` says of them. A value: `extended` makes a new one.

    Attributes:
        token_ids: the tokens.
        tokens: their pieces.
        timestamps: when each was emitted, seconds; never before the one in front of it.
        log_probs: log-probability with which each was emitted.
        spelled: as the table spells it.
        last_frame: encoder frame of the last token.
        closed_words: all words but the last, which the next token may continue.
        open_word: indices of the last word's tokens.
    """

    token_ids: tuple[int, ...] = ()
    tokens: tuple[str, ...] = ()
    timestamps: tuple[float, ...] = ()
    log_probs: tuple[float, ...] = ()
    spelled: str = ""
    last_frame: int = 0
    closed_words: tuple[Word, ...] = ()
    open_word: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """As it reads."""
        return read_spelling(self.spelled)

    def up_to(self, spelling: Spelling, emissions: Emissions) -> "Transcript":
        """The transcript of these tokens, the first of which are this one's; only the others are spelled out."""
        return self.extended(spelling, emissions[len(self.token_ids) :])

    def extended(self, spelling: Spelling, emissions: Emissions) -> "Transcript":
        """This with more tokens behind it."""
        if not emissions:
            return self
        table, token_ids = spelling.table, emissions.tokens
        # What was committed may have been aligned later by another hypothesis: time does not run backwards.
        in_order = list(accumulate(emissions.frames, max, initial=self.last_frame))[1:]
        groups = [list(self.open_word)] if self.open_word else []
        for index, token in enumerate(token_ids, start=len(self.token_ids)):
            if token in table.hidden_ids:
                continue
            if not groups or table.starts_word(token):
                groups.append([])
            groups[-1].append(index)
        longer = Transcript(
            (*self.token_ids, *token_ids),
            (*self.tokens, *(table.pieces[token] for token in token_ids)),
            (*self.timestamps, *(frame * spelling.seconds_per_frame for frame in in_order)),
            (*self.log_probs, *emissions.log_probs),
            table.continued(self.spelled, token_ids),
            in_order[-1],
        )
        closed = [word for group in groups[:-1] if (word := longer.word(group, spelling))]
        return replace(
            longer, closed_words=(*self.closed_words, *closed), open_word=tuple(groups[-1] if groups else ())
        )

    def word(self, indices: Sequence[int], spelling: Spelling) -> Word | None:
        """The word that these tokens make; `None` if it has no character.

        It starts with its first token and ends a frame after its last one began; its confidence is the geometric
        mean of its tokens' probabilities, calibrated where there is a curve for it.
        """
        text = spelling.table.text(self.token_ids[index] for index in indices).strip()
        if not text:
            return None
        confidence = min(1.0, exp(sum(self.log_probs[index] for index in indices) / len(indices)))
        if spelling.calibration is not None:
            confidence = spelling.calibration(confidence)
        start, end = self.timestamps[indices[0]], self.timestamps[indices[-1]] + spelling.seconds_per_frame
        return Word(text, start, end, confidence)

    def words(self, spelling: Spelling) -> tuple[Word, ...]:
        """All words."""
        last = self.word(self.open_word, spelling) if self.open_word else None
        return self.closed_words if last is None else (*self.closed_words, last)
