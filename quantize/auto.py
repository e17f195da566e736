"""`--precision auto`: the fastest variant that keeps the words.

First every mixture of quantized and float components is decoded, and the other precisions; then,
where an INT8 encoder alone costs too many words, its most sensitive matrices go back to float; and
where words are lost by deletions, a blank penalty is fitted before a candidate is given up.
"""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from emf.quantize.accuracy import ErrorCounts, word_counts
from emf.quantize.compress import check_supported
from emf.quantize.evaluation import evaluate
from emf.quantize.recipe import GraphRecipe, Recipe, make_recipe
from emf.quantize.scratch_artifact import ScratchArtifact
from emf.quantize.sensitivity import rank_layers
from emf.runtime.artifact.manifest import GRAPH_NAMES
from emf.runtime.artifact.variant import FLOAT, Variant
from emf.runtime.errors import ToleranceError, UsageError
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.speech.utterances import Utterance

_LOGGER = logging.getLogger(__name__)
BLANK_PENALTIES = (0.25, 0.5, 1.0, 1.5, 2.0)
UNIFORM_PRECISIONS = ("int8-weight", "int4-weight", "bf16")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A variant tried on the dev set.

    Attributes:
        name: how it is called in the explanation.
        recipe: how its graphs are quantized.
        counts: its word errors.
        chunk_ms: mean time of a chunk.
        blank_penalty: fitted to it, 0 if none was needed.
    """

    name: str
    recipe: Recipe
    counts: ErrorCounts
    chunk_ms: float
    blank_penalty: float = 0.0

    def to_document(self, baseline: "Candidate") -> dict[str, Any]:
        """As JSON, beside the float variant."""
        return {
            "name": self.name,
            "wer": self.counts.rate,
            "wer_increase": self.counts.rate - baseline.counts.rate,
            **asdict(self.counts.totals()),
            "chunk_ms": self.chunk_ms,
            "speedup": baseline.chunk_ms / self.chunk_ms if self.chunk_ms else 0.0,
            "blank_penalty": self.blank_penalty,
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """What the search found: the float variant, everything tried, and the best within the budget."""

    baseline: Candidate
    tried: tuple[Candidate, ...]
    best: Candidate
    max_wer_increase: float

    def to_document(self) -> dict[str, Any]:
        """As JSON for the manifest."""
        return {
            "max_wer_increase": self.max_wer_increase,
            "baseline": self.baseline.to_document(self.baseline),
            "tried": [candidate.to_document(self.baseline) for candidate in self.tried],
            "chosen": self.best.to_document(self.baseline),
            "reason": self.reason(),
        }

    def reason(self) -> str:
        """Why this one, in numbers."""
        best, baseline = self.best, self.baseline
        fitting = sum(_within(candidate, baseline, self.max_wer_increase) for candidate in self.tried)
        penalty = f" with a blank penalty of {best.blank_penalty:g}" if best.blank_penalty else ""
        speed = baseline.chunk_ms / best.chunk_ms if best.chunk_ms else 0.0
        return (
            f"{best.name}{penalty}: WER {100 * best.counts.rate:.2f} % against {100 * baseline.counts.rate:.2f} % "
            f"of fp32, {best.chunk_ms:.2f} ms a chunk against {baseline.chunk_ms:.2f} ({speed:.2f} times as fast); "
            f"the fastest of {fitting} within {100 * self.max_wer_increase:g} points, of {len(self.tried)} tried"
        )


@dataclass(frozen=True, slots=True)
class _Trial:
    """A variant to try: its name in the explanation, how it is quantized, and where it stands."""

    name: str
    recipe: Recipe
    variant: Variant


class AutoSearch:
    """The search for one backend."""

    def __init__(
        self, bench: ScratchArtifact, utterances: Sequence[Utterance], decoding: Decoding, max_wer_increase: float
    ) -> None:
        """Search in a scratch artifact.

        Args:
            bench: where candidates are made.
            utterances: the dev set, with transcripts.
            decoding: how candidates decode; with a blank penalty, that of all of them, and none is fitted.
            max_wer_increase: how much more WER than the float variant's is allowed, 0.002 being 0.2 points.
        """
        self._bench = bench
        self._utterances = utterances
        self._references = [utterance.transcript or "" for utterance in utterances]
        self._decoding = decoding
        self._given_penalty = decoding.options.blank_penalty
        self._budget = max_wer_increase
        self._tried: list[Candidate] = []

    def run(self) -> Choice:
        """Search.

        Raises:
            ToleranceError: nothing fits the budget.
        """
        floats = Recipe({name: GraphRecipe(FLOAT) for name in GRAPH_NAMES})
        baseline = self._try(_Trial(FLOAT, floats, Variant(self._bench.backend, FLOAT)))
        for trial in [*self._component_mixes(), *self._uniform_precisions()]:
            self._consider(trial, baseline)
        if not any(
            _within(candidate, baseline, self._budget) and _has_int8_encoder(candidate) for candidate in self._tried
        ):
            self._free_layers(baseline)
        fitting = [candidate for candidate in self._tried if _within(candidate, baseline, self._budget)]
        if not fitting:
            nearest = min(self._tried, key=lambda candidate: candidate.counts.rate)
            raise ToleranceError(
                f"{self._bench.backend}: expected a variant within {100 * self._budget:g} points of fp32's WER of "
                f"{100 * baseline.counts.rate:.2f} %, but the best of {len(self._tried)}, {nearest.name}, has "
                f"{100 * nearest.counts.rate:.2f} %; raise --max-wer-increase, calibrate on more speech, or keep fp32"
            )
        best = min(fitting, key=lambda candidate: candidate.chunk_ms)
        return Choice(baseline, tuple(self._tried), best, self._budget)

    def _component_mixes(self) -> list[_Trial]:
        """The 2³ combinations of quantized and float encoder, predictor and joiner, less the float one."""
        self._bench.make("int8", make_recipe("int8"))
        found = []
        for parts in itertools.product((FLOAT, "int8"), repeat=len(GRAPH_NAMES)):
            if "int8" in parts:
                chosen = dict(zip(GRAPH_NAMES, parts, strict=True))
                recipe = make_recipe("int8", chosen)
                found.append(_Trial(recipe.name, recipe, self._bench.mix(recipe.name, chosen)))
        return found

    def _uniform_precisions(self) -> list[_Trial]:
        found = []
        for precision in UNIFORM_PRECISIONS:
            try:
                check_supported(self._bench.backend, precision)
            except UsageError:
                continue
            recipe = make_recipe(precision)
            found.append(_Trial(precision, recipe, self._bench.make(precision, recipe)))
        return found

    def _free_layers(self, baseline: Candidate) -> None:
        """Give the encoder's most sensitive matrices back to float, more and more of them, until the WER fits."""
        recipe = make_recipe("int8")
        encoder = recipe.graphs["encoder"]
        ranked = [layer for layer in rank_layers(self._bench, encoder) if layer not in encoder.float_layers]
        count = 1
        while count < len(ranked):
            layers = tuple(sorted({*encoder.float_layers, *ranked[:count]}))
            freed = make_recipe("int8", {"predictor": FLOAT, "joiner": FLOAT})
            freed = freed.with_graph("encoder", replace(encoder, float_layers=layers))
            name = f"int8 encoder with {count} of {len(ranked)} matrices in float"
            self._consider(_Trial(name, freed, self._bench.make(f"free{count}", freed)), baseline)
            if _within(self._tried[-1], baseline, self._budget):
                return
            count *= 2

    def _try(self, trial: _Trial, penalty: float = 0.0) -> Candidate:
        if self._given_penalty is not None:
            penalty = self._given_penalty
        decoding = self._decoding.with_options(blank_penalty=penalty)
        evaluation = evaluate(self._bench.folder, trial.variant, self._utterances, decoding)
        counts = word_counts(self._references, evaluation.texts)
        chunk_ms = evaluation.measurements.figures().chunk_ms.mean
        _LOGGER.info("%s: WER %.2f %%, %.2f ms a chunk", trial.name, 100 * counts.rate, chunk_ms)
        return Candidate(trial.name, trial.recipe, counts, chunk_ms, penalty)

    def _consider(self, trial: _Trial, baseline: Candidate) -> None:
        """Try a variant; if it deletes words beyond the budget, keep its best candidate with a blank penalty."""
        candidate = self._try(trial)
        deletes_more = candidate.counts.deletions.sum() > baseline.counts.deletions.sum()
        if deletes_more and self._given_penalty is None and not _within(candidate, baseline, self._budget):
            candidate = self._fit_blank_penalty(trial, candidate)
        self._tried.append(candidate)

    def _fit_blank_penalty(self, trial: _Trial, without: Candidate) -> Candidate:
        """The candidate with the penalty of least WER; the search stops once a greater one does harm."""
        best = without
        for penalty in BLANK_PENALTIES:
            found = self._try(trial, penalty)
            if found.counts.rate > best.counts.rate:
                break
            best = found if found.counts.rate < best.counts.rate else best
        return best


def _within(candidate: Candidate, baseline: Candidate, budget: float) -> bool:
    return bool(candidate.counts.rate <= baseline.counts.rate + budget)


def _has_int8_encoder(candidate: Candidate) -> bool:
    return candidate.recipe.graphs["encoder"].precision == "int8"
