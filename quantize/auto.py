"""`--precision auto`: the fastest variant that keeps the words.

First every component is quantized alone, in each precision that the backend has, and decodes the dev set; then come
the mixtures that look best by these results. Where an INT8 encoder alone costs too many words, its most sensitive
matrices go back to float; and where words are lost by deletions, a blank penalty is fitted before a candidate is given
up. The fastest that are left are timed again in turns, so that a disturbance of one run decides nothing.
"""

import logging
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from emf.quantize.accuracy import word_counts
from emf.quantize.candidates import Candidate, Choice
from emf.quantize.compress import check_supported
from emf.quantize.evaluation import evaluate
from emf.quantize.mixtures import Change, Mixture, promising_mixtures
from emf.quantize.recipe import PRECISIONS, GraphRecipe, Recipe, make_recipe
from emf.quantize.scratch_artifact import ScratchArtifact
from emf.quantize.sensitivity import rank_layers
from emf.runtime.artifact.manifest import GRAPH_NAMES
from emf.runtime.artifact.variant import FLOAT, Variant
from emf.runtime.errors import ToleranceError, UsageError
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.speech.utterances import Utterance

_LOGGER = logging.getLogger(__name__)
BLANK_PENALTIES = (0.25, 0.5, 1.0, 1.5, 2.0)
MOST_MIXTURES = 8
"""Mixtures tried beyond the components alone: at most 20 candidates in OpenVINO, 17 in ONNX Runtime."""
FINALISTS = 3
FINAL_ROUNDS = 2


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
        self._trials: dict[str, _Trial] = {}
        self._decodings = 0

    def run(self) -> Choice:
        """Search.

        Raises:
            ToleranceError: nothing fits the budget.
        """
        floats = Recipe({name: GraphRecipe(FLOAT) for name in GRAPH_NAMES})
        baseline = self._try(_Trial(FLOAT, floats, Variant(self._bench.backend, FLOAT)))
        precisions = self._make_precisions()
        most = len(GRAPH_NAMES) * len(precisions) + MOST_MIXTURES
        _LOGGER.info("trying at most %d candidates, and float matrices in an INT8 encoder that needs some", most)
        alone = {
            (component, precision): self._consider(self._mix({component: precision}), baseline)
            for component in GRAPH_NAMES
            for precision in precisions
        }
        changes = {key: _change(baseline, candidate, key[0]) for key, candidate in alone.items()}
        for mixture in promising_mixtures(changes, self._budget, MOST_MIXTURES):
            self._consider(self._mix(mixture), baseline)
        if self._is_worth_freeing(alone["encoder", "int8"], baseline):
            self._free_layers(baseline)
        fitting = [candidate for candidate in self._tried if candidate.within(baseline, self._budget)]
        if not fitting:
            nearest = min(self._tried, key=lambda candidate: candidate.counts.rate)
            raise ToleranceError(
                f"{self._bench.backend}: expected a variant within {100 * self._budget:g} points of fp32's WER of "
                f"{100 * baseline.counts.rate:.2f} %, but the best of {len(self._tried)}, {nearest.name}, has "
                f"{100 * nearest.counts.rate:.2f} %; raise --max-wer-increase, calibrate on more speech, or keep fp32"
            )
        finalists = sorted(fitting, key=lambda candidate: candidate.chunk_ms)[:FINALISTS]
        timed = self._time_again([baseline, *finalists])
        baseline, best = timed[0], min(timed[1:], key=lambda candidate: candidate.chunk_ms)
        again = {candidate.name: candidate for candidate in timed}
        tried = tuple(again.get(candidate.name, candidate) for candidate in self._tried)
        mixtures = (len(precisions) + 1) ** len(GRAPH_NAMES) - 1
        return Choice(baseline, tried, best, self._budget, mixtures, self._decodings)

    def _make_precisions(self) -> list[str]:
        """Quantize all components in each precision that the backend has; mixtures take their graphs from there."""
        found = []
        for precision in PRECISIONS:
            try:
                check_supported(self._bench.backend, precision)
            except UsageError:
                continue
            self._bench.make(precision, make_recipe(precision))
            found.append(precision)
        return found

    def _mix(self, mixture: Mixture) -> _Trial:
        """Components in these precisions, the others in float."""
        chosen = dict.fromkeys(GRAPH_NAMES, FLOAT) | mixture
        recipe = make_recipe(FLOAT, chosen)
        return _Trial(recipe.name, recipe, self._bench.mix(recipe.name, chosen))

    def _is_worth_freeing(self, encoder: Candidate, baseline: Candidate) -> bool:
        """Whether the INT8 encoder costs too many words, and would be faster than all encoders that do not."""
        fitting = [candidate for candidate in self._tried if candidate.within(baseline, self._budget)]
        fastest = min((candidate.components_ms["encoder"] for candidate in fitting), default=float("inf"))
        return not encoder.within(baseline, self._budget) and encoder.components_ms["encoder"] < fastest

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
            trial = _Trial(name, freed, self._bench.make(f"free{count}", freed))
            if self._consider(trial, baseline).within(baseline, self._budget):
                return
            count *= 2

    def _try(self, trial: _Trial, penalty: float = 0.0) -> Candidate:
        if self._given_penalty is not None:
            penalty = self._given_penalty
        decoding = self._decoding.with_options(blank_penalty=penalty)
        evaluation = evaluate(self._bench.folder, trial.variant, self._utterances, decoding)
        counts = word_counts(self._references, evaluation.texts)
        measured = evaluation.measurements
        chunk_ms = measured.figures().chunk_ms.p50
        components = {n: 1e3 * statistics.median(c[n] for c in measured.components) for n in GRAPH_NAMES}
        self._decodings += 1
        self._trials[trial.name] = trial
        _LOGGER.info("%s: WER %.2f %%, %.2f ms a chunk", trial.name, 100 * counts.rate, chunk_ms)
        return Candidate(trial.name, trial.recipe, counts, chunk_ms, components, penalty)

    def _time_again(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The same, timed in turns; of all its times a candidate keeps the least."""
        timed = list(candidates)
        for _ in range(FINAL_ROUNDS):
            for index, known in enumerate(timed):
                again = self._try(self._trials[known.name], known.blank_penalty)
                timed[index] = replace(known, chunk_ms=min(known.chunk_ms, again.chunk_ms))
        return timed

    def _consider(self, trial: _Trial, baseline: Candidate) -> Candidate:
        """Try a variant; if it deletes words beyond the budget, keep its best candidate with a blank penalty."""
        candidate = self._try(trial)
        deletes_more = candidate.counts.deletions.sum() > baseline.counts.deletions.sum()
        if deletes_more and self._given_penalty is None and not candidate.within(baseline, self._budget):
            candidate = self._fit_blank_penalty(trial, candidate)
        self._tried.append(candidate)
        return candidate

    def _fit_blank_penalty(self, trial: _Trial, without: Candidate) -> Candidate:
        """The candidate with the penalty of least WER; the search stops once a greater one does harm."""
        best = without
        for penalty in BLANK_PENALTIES:
            found = self._try(trial, penalty)
            if found.counts.rate > best.counts.rate:
                break
            best = found if found.counts.rate < best.counts.rate else best
        return best


def _change(baseline: Candidate, candidate: Candidate, component: str) -> Change:
    """What a component quantized alone changes."""
    return Change(
        candidate.components_ms[component] - baseline.components_ms[component],
        candidate.counts.rate - baseline.counts.rate,
    )
