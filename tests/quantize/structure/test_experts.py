"""Experts against brute force: clusters, choices, unions, and the graphs that are timed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from emf.quantize.accuracy import EditTotals
from emf.quantize.structure.encoder import AsTrained, Encoder, activate, linear, norm
from emf.quantize.structure.experts.clusters import LayerExperts, Probe, balanced_clusters, best
from emf.quantize.structure.experts.graphs import write_all, write_chosen, write_dense
from emf.quantize.structure.experts.pruning import with_neurons
from emf.quantize.structure.experts.routing import Routed, by_step, carriers, share_touched
from emf.quantize.structure.experts.times import DENSE, DENSE_INT8, HALF_INT8
from emf.quantize.structure.experts.verdict import verdict
from emf.quantize.structure.rows import ExpertsRow, FeedForwardTime, Words
from emf.quantize.structure.speech import Speech
from emf.quantize.structure.statistics import draw_rows
from emf.quantize.structure.weights import EncoderWeights
from emf.runtime.arrays import FloatArray
from tests.quantize.structure.conftest import WITHOUT_MIXTURES


def random_rows(*shape: int) -> FloatArray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def test_clusters_are_balanced_and_find_what_is_there() -> None:
    random = np.random.default_rng(1)
    centres = random.standard_normal((4, 20)).astype(np.float32)
    truth = np.repeat(np.arange(4), 6)
    points = centres[truth] * random.uniform(0.5, 2.0, (24, 1)).astype(np.float32) + 0.01
    owners = [balanced_clusters(points, 4, np.random.default_rng(seed)) for seed in range(5)]
    assert all(np.bincount(owner).tolist() == [6, 6, 6, 6] for owner in owners)
    assert any(len({(t, o) for t, o in zip(truth.tolist(), owner.tolist(), strict=True)}) == 4 for owner in owners)
    assert sorted(np.bincount(balanced_clusters(points, 5, random)).tolist()) == [4, 5, 5, 5, 5]


def test_the_best_are_chosen() -> None:
    scores = random_rows(50, 9)
    expected = [set(np.argsort(row)[-3:].tolist()) for row in scores]
    assert [set(np.flatnonzero(row).tolist()) for row in best(scores, 3)] == expected


def test_carriers_are_the_fewest() -> None:
    moves = np.array([[5.0, 1.0, 3.0, 1.0], [1.0, 1.0, 1.0, 1.0]], np.float32)
    assert carriers(moves, 0.8).tolist() == [[True, False, True, False], [True] * 4]
    assert carriers(moves, 0.5).sum(axis=1).tolist() == [1, 2]


def test_a_probe_learns_what_is_linear() -> None:
    rows, true = random_rows(400, 12), random_rows(12, 5)
    probe = Probe.fit(rows[:300], rows[:300] @ true + 2.0, np.random.default_rng(0))
    error = np.square(probe(rows[300:]) - rows[300:] @ true - 2.0).mean()
    assert error < 0.05 * np.square(rows[300:] @ true).mean()


class Recorded(AsTrained):
    """Keeps neurons of the first layer."""

    def __init__(self) -> None:
        self.seen: list[FloatArray] = []

    def hidden(self, layer: int, rows: FloatArray, hidden: FloatArray) -> FloatArray:
        if layer == 0:
            self.seen.append(hidden)
        return hidden


def touched_by_hand(chosen: npt.NDArray[np.bool_], frames: int, right: int) -> list[set[int]]:
    steps = len(chosen) // (frames + right)
    found = []
    for step in range(steps):
        segment = range(step * frames, (step + 1) * frames)
        context = range(steps * frames + step * right, steps * frames + (step + 1) * right)
        found.append({int(e) for row in (*segment, *context) for e in np.flatnonzero(chosen[row])})
    return found


def test_what_a_step_touches_is_the_union_of_its_rows(trial: Speech, tiny: EncoderWeights) -> None:
    geometry = trial.geometry
    samples = draw_rows(trial, tiny, [0, 1], seed=0)
    fitted = [LayerExperts.fit(layer, s, 6, 0) for layer, s in zip(tiny.layers, samples, strict=True)]
    routed, recorded = Routed(fitted, 2, geometry, oracle=True), Recorded()
    for layers in (routed, recorded):
        trial.encode(Encoder(tiny, geometry, layers), [2])
    frames = geometry.frames_per_step
    right = geometry.step_length // geometry.subsampling_factor - frames
    moved = np.abs(recorded.seen[0] - fitted[0].importance.mean) * fitted[0].importance.norms
    scores = np.stack([moved[:, fitted[0].owner == expert].sum(axis=1) for expert in range(6)], axis=1)
    expected = touched_by_hand(best(scores, 2), frames, right)
    assert [set(np.flatnonzero(row).tolist()) for row in routed.touched[0][0]] == expected
    by_hand = np.mean([len(step) / 6 for step in expected])
    assert share_touched([routed.touched[0][0]], 1, np.random.default_rng(0)) == pytest.approx(by_hand)


def test_many_streams_touch_what_their_steps_touch() -> None:
    touched = [np.random.default_rng(layer).random((40, 8)) < 0.3 for layer in range(2)]
    for streams in (4, 16):
        drawn = np.random.default_rng(5).integers(40, size=(200, streams))
        unions = [
            len(set().union(*(set(np.flatnonzero(layer[step]).tolist()) for step in steps))) / 8
            for layer in touched
            for steps in drawn.tolist()
        ]
        assert share_touched(touched, streams, np.random.default_rng(5)) == pytest.approx(float(np.mean(unions)))


def test_rows_come_by_step() -> None:
    class Lengths:
        frames_per_step, step_length, subsampling_factor = 2, 12, 4

    rows = np.arange(9)[:, None]
    found = by_step(rows, Lengths())  # type: ignore[arg-type]
    assert found[:, :, 0].tolist() == [[0, 1, 6], [2, 3, 7], [4, 5, 8]]


def test_all_experts_change_nothing(trial: Speech, tiny: EncoderWeights) -> None:
    samples = draw_rows(trial, tiny, [0], seed=0)
    fitted = [LayerExperts.fit(layer, s, 4, 0) for layer, s in zip(tiny.layers, samples, strict=True)]
    expected = trial.encode(Encoder(tiny, trial.geometry), [1])[0]
    for chosen, same in ((4, True), (1, False)):
        found = trial.encode(Encoder(tiny, trial.geometry, Routed(fitted, chosen, trial.geometry, False)), [1])[0]
        assert np.allclose(found, expected, atol=1e-5) is same


def test_fewer_neurons_fit_the_whole(trial: Speech, tiny: EncoderWeights) -> None:
    samples = draw_rows(trial, tiny, [0, 1], seed=0)
    whole, half = with_neurons(tiny, 1.0, samples), with_neurons(tiny, 0.5, samples)
    assert half.neurons == tiny.neurons // 2
    expected, same, fitted = (trial.encode(Encoder(w, trial.geometry), [2])[0] for w in (tiny, whole, half))
    assert np.abs(same - expected).max() < 0.05 * np.abs(fitted - expected).max()


def feed_forward(weights: EncoderWeights, x: FloatArray, shares: FloatArray, biased: bool = True) -> FloatArray:
    """All layers' networks, their neurons in parts weighed by `shares` (layers, rows, E)."""
    for index, layer in enumerate(weights.layers):
        hidden = activate(linear(norm(x, layer.norm_ffn), layer.ffn_in), weights.activation)
        hidden = hidden * np.repeat(shares[index], weights.neurons // shares.shape[2], axis=1)
        x = np.asarray(hidden @ layer.ffn_out.weight.T + layer.ffn_out.bias * biased + x, np.float32)
    return x


def run(path: Path, inputs: dict[str, FloatArray]) -> FloatArray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, inputs)
    return np.asarray(found[0], np.float32)


def test_the_timed_graphs_compute_what_they_say(tiny: EncoderWeights, tmp_path: Path) -> None:
    x, routing = random_rows(1, 7, tiny.dim), random_rows(len(tiny.layers), 7, 4)
    dense = run(write_dense(tmp_path / "dense.onnx", tiny), {"x": x})
    np.testing.assert_allclose(dense, feed_forward(tiny, x[0], np.ones_like(routing)), atol=1e-4)
    weighed = run(write_all(tmp_path / "all.onnx", tiny, 4), {"x": x, "routing": routing})
    np.testing.assert_allclose(weighed, feed_forward(tiny, x[0], routing, biased=False), atol=1e-4)


@pytest.mark.skipif(WITHOUT_MIXTURES, reason="ONNX Runtime 1.22 runs no MoE on processors")
def test_the_timed_mixtures_compute_what_they_say(tiny: EncoderWeights, tmp_path: Path) -> None:
    x, routing = random_rows(1, 7, tiny.dim), random_rows(len(tiny.layers), 7, 4)
    given = {"x": x, "routing": routing}
    kept = np.where(best(routing.reshape(-1, 4), 2).reshape(routing.shape), np.exp(routing), 0.0)
    expected = feed_forward(tiny, x[0], np.asarray(kept / kept.sum(axis=2, keepdims=True), np.float32))
    chosen = run(write_chosen(tmp_path / "moe.onnx", tiny, 4, 2, quantized=False), given)
    np.testing.assert_allclose(chosen, expected, atol=1e-3)
    quantized = run(write_chosen(tmp_path / "qmoe.onnx", tiny, 4, 2, quantized=True), given)
    assert np.square(quantized - expected).mean() < 1e-3 * np.square(expected).mean()


def words(delta: float) -> Words:
    return Words(0.1 + delta, EditTotals(1, 0, 0), delta, (0.0, 0.0), 1)


def times(moe: float) -> Sequence[FeedForwardTime]:
    def row(form: str, value: float, experts: int = 0) -> FeedForwardTime:
        return FeedForwardTime("onnxruntime", form, experts, experts // 2, dict.fromkeys(("1", "16", "60"), value))

    return row(DENSE, 4.0), row(DENSE_INT8, 2.0), row(HALF_INT8, 1.0), row("QMoE INT8", moe, 8)


def test_verdicts() -> None:
    touched = {"1": 0.7, "4": 0.8, "16": 0.9, "60": 1.0}
    good, bad = (ExpertsRow(8, 4, touched, words(0.0), words(delta)) for delta in (-0.01, 0.05))
    slow = verdict([bad], words(0.0), times(6.0))
    assert slow.startswith("Experts do not pay here: no setting is faster") and "3.0, 3.0 and 3.0 times" in slow
    assert "reads 70 %, 80 %, 90 % and 100 %" in slow and "+5.0 points" in slow and "would turn" in slow
    assert "loses more words" in verdict([bad], words(0.0), times(1.0))
    assert verdict([good], words(0.0), times(1.0)).startswith("Experts pay here: QMoE INT8")
