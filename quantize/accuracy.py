"""How much worse a variant understands: error rates, their change, and how sure that change is."""

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer
import numpy as np
import numpy.typing as npt

from emf.runtime.speech.error_rate import normalize

BOOTSTRAP_ROUNDS = 10_000
_SEED = 0


@dataclass(frozen=True, slots=True)
class EditTotals:
    """Edit operations of all utterances together."""

    substitutions: int
    deletions: int
    insertions: int


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Edit operations of each utterance against its reference; every array has shape (utterances,)."""

    substitutions: npt.NDArray[np.int64]
    deletions: npt.NDArray[np.int64]
    insertions: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    @property
    def errors(self) -> npt.NDArray[np.int64]:
        """All edit operations of each utterance."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors over the length of all references."""
        return float(self.errors.sum() / max(int(self.lengths.sum()), 1))

    def totals(self) -> EditTotals:
        """Edit operations of all utterances together."""
        return EditTotals(int(self.substitutions.sum()), int(self.deletions.sum()), int(self.insertions.sum()))


def word_counts(references: Sequence[str], texts: Sequence[str]) -> ErrorCounts:
    """Word errors as jiwer counts them, lower case and without punctuation."""
    return _counts(jiwer.process_words([normalize(r) for r in references], [normalize(t) for t in texts]))


def character_error_rate(references: Sequence[str], texts: Sequence[str]) -> float:
    """Character error rate as jiwer computes it, lower case and without punctuation."""
    return float(jiwer.process_characters([normalize(r) for r in references], [normalize(t) for t in texts]).cer)


def _counts(output: jiwer.WordOutput) -> ErrorCounts:
    rows = []
    for reference, chunks in zip(output.references, output.alignments, strict=True):
        count = {"substitute": 0, "delete": 0, "insert": 0}
        for chunk in chunks:
            if chunk.type in count:
                spans = (chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
                count[chunk.type] += max(spans)
        rows.append((count["substitute"], count["delete"], count["insert"], len(reference)))
    return ErrorCounts(*np.array(rows, np.int64).T)


def token_agreement(expected: Sequence[Sequence[int]], found: Sequence[Sequence[int]]) -> float:
    """How much of the float model's tokens a variant gave, in order: 1 less the edits by token, at least 0."""
    pairs = [(_as_words(e), _as_words(f)) for e, f in zip(expected, found, strict=True) if e]
    surplus = sum(len(f) for e, f in zip(expected, found, strict=True) if not e)
    if not pairs:
        return float(surplus == 0)
    output = jiwer.process_words([e for e, _ in pairs], [f for _, f in pairs])
    edits = output.substitutions + output.deletions + output.insertions + surplus
    return max(0.0, 1.0 - edits / sum(len(e) for e in expected))


def _as_words(tokens: Sequence[int]) -> str:
    return " ".join(map(str, tokens))


def paired_bootstrap(
    baseline: ErrorCounts, variant: ErrorCounts, rounds: int = BOOTSTRAP_ROUNDS
) -> tuple[float, float]:
    """95 % interval of the change of the error rate, from resampled utterances.

    The same utterances are drawn for both, because they err on the same ones. Source: Bisani and
    Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", 2004.

    Args:
        baseline: counts of the float model.
        variant: counts of the variant on the same utterances.
        rounds: how often to draw.

    Returns:
        The 2.5th and the 97.5th percentile of variant less baseline.
    """
    count = len(baseline.lengths)
    random = np.random.default_rng(_SEED)
    difference = variant.errors - baseline.errors
    deltas = np.empty(rounds)
    for index in range(rounds):
        drawn = random.integers(count, size=count)
        deltas[index] = difference[drawn].sum() / max(int(baseline.lengths[drawn].sum()), 1)
    low, high = np.percentile(deltas, (2.5, 97.5))
    return float(low), float(high)
