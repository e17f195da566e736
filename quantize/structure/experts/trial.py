"""What-if `experts`: a trained model cut into experts, its words lost, and what the experts cost here."""

from collections.abc import Callable, Sequence

import numpy as np

from emf.quantize.structure.encoder import Encoder
from emf.quantize.structure.experts.clusters import Importance, LayerExperts
from emf.quantize.structure.experts.pruning import with_neurons
from emf.quantize.structure.experts.routing import STREAMS, Counting, Routed, share_touched
from emf.quantize.structure.experts.times import Routing, feed_forward_times
from emf.quantize.structure.experts.verdict import verdict
from emf.quantize.structure.rows import Activity, Experts, ExpertsRow, Words
from emf.quantize.structure.speech import Encodings, Said, Speech, in_halves, words
from emf.quantize.structure.statistics import Sample, draw_rows
from emf.quantize.structure.weights import EncoderWeights

SETTINGS = ((8, 2), (16, 8), (32, 16), (32, 24))
"""Experts of a layer, and how many of them a row chooses."""
_SEED = 0
Step = Callable[[str], None]


class ExpertsTrial:
    """Fits experts on one half of the speech and tries them on the other."""

    def __init__(self, speech: Speech, weights: EncoderWeights, said: Said, step: Step) -> None:
        self._speech, self._weights, self._said, self._step = speech, weights, said, step
        step("experts: neurons on speech")
        self._samples = {tuple(fit): draw_rows(speech, weights, fit, _SEED) for fit in speech.halves}
        self._fitted: dict[tuple[int, tuple[int, ...]], list[LayerExperts]] = {}

    def run(self, num_threads: int) -> Experts:
        """Measure words, activity and times."""
        speech, weights = self._speech, self._weights
        usable = [(experts, chosen) for experts, chosen in SETTINGS if experts <= weights.neurons]
        found = [self._setting(*setting) for setting in usable]
        self._step("experts: half the neurons")
        half = words(self._said, speech.said(speech.search(in_halves(speech, self._halved))))
        geometry = speech.geometry
        rows = geometry.step_length // geometry.subsampling_factor
        times = feed_forward_times(weights, rows, [routing for _, routing in found], num_threads, self._step)
        settings = tuple(row for row, _ in found)
        return Experts(
            verdict=verdict(settings, half, times),
            activity=self._activity(),
            settings=settings,
            half=half,
            times=times,
        )

    def _setting(self, experts: int, chosen: int) -> tuple[ExpertsRow, Routing]:
        self._step(f"experts: {chosen} of {experts}, oracle")
        oracle = self._words(experts, chosen, oracle=True)[0]
        self._step(f"experts: {chosen} of {experts}, probe")
        probe, routed = self._words(experts, chosen, oracle=False)
        layers = range(len(self._weights.layers))
        touched = [np.concatenate([block for one in routed for block in one.touched[layer]]) for layer in layers]
        scores = [np.concatenate([block for one in routed for block in one.scores[layer]]) for layer in layers]
        random = np.random.default_rng(_SEED)
        shares = {str(streams): share_touched(touched, streams, random) for streams in STREAMS}
        return ExpertsRow(experts, chosen, shares, oracle, probe), Routing(experts, chosen, scores)

    def _words(self, experts: int, chosen: int, oracle: bool) -> tuple[Words, list[Routed]]:
        routed: list[Routed] = []

        def encode(fit: Sequence[int], held_out: Sequence[int]) -> Encodings:
            routed.append(Routed(self._experts(experts, fit), chosen, self._speech.geometry, oracle))
            return self._speech.encode(Encoder(self._weights, self._speech.geometry, routed[-1]), held_out)

        tokens = self._speech.search(in_halves(self._speech, encode))
        return words(self._said, self._speech.said(tokens)), routed

    def _experts(self, experts: int, fit: Sequence[int]) -> list[LayerExperts]:
        key = (experts, tuple(fit))
        if key not in self._fitted:
            pairs = zip(self._weights.layers, self._of(fit), strict=True)
            self._fitted[key] = [LayerExperts.fit(*pair, experts, _SEED) for pair in pairs]
        return self._fitted[key]

    def _of(self, fit: Sequence[int]) -> list[Sample]:
        return self._samples[tuple(fit)]

    def _halved(self, fit: Sequence[int], held_out: Sequence[int]) -> Encodings:
        changed = with_neurons(self._weights, 0.5, self._of(fit))
        return self._speech.encode(Encoder(changed, self._speech.geometry), held_out)

    def _activity(self) -> tuple[Activity, ...]:
        samples = self._of(self._speech.halves[0])
        importances = [Importance.of(layer, s.hidden) for layer, s in zip(self._weights.layers, samples, strict=True)]
        counting = Counting(importances, self._speech.geometry)
        self._speech.encode(Encoder(self._weights, self._speech.geometry, counting), self._speech.halves[1])
        return counting.activity()
