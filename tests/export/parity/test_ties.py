"""Where hypotheses lie within rounding of each other the check lets either stay, and nowhere else."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from emf.export.artifact import ExportOptions, export_artifact
from emf.export.parity.verify import verify
from emf.runtime.arrays import FloatArray
from emf.runtime.errors import ToleranceError
from emf.runtime.inference.session import BACKENDS
from emf.runtime.inference.transducer import Transducer
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.model import Joined, Model
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.run import advance
from tests.conftest import Export
from tests.signals import speech_like
from tests.tolerances import SCORE, TENSOR

SAMPLES = speech_like(3.0)
IntArray: TypeAlias = npt.NDArray[np.int64]


def change_log_probs(monkeypatch: pytest.MonkeyPatch, error: Callable[[FloatArray, IntArray], FloatArray]) -> None:
    """Engines whose log-probabilities are off by `error` of the frames' sums, shape (n, 1), and ids, (n, k)."""
    join = Transducer.join

    def changed(self: Transducer, encodings: FloatArray, *arguments: Any) -> Joined:
        joined = join(self, encodings, *arguments)
        frames = encodings.sum(axis=1, keepdims=True, dtype=np.float32)
        return replace(joined, top=joined.top + error(frames, joined.top_ids))

    monkeypatch.setattr(Transducer, "join", changed)


def round_otherwise(monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    """Engines that compute log-probabilities a little off, otherwise for every symbol and frame."""
    change_log_probs(
        monkeypatch,
        lambda frames, ids: np.float32(by) * np.sin(np.float32(100.0) * frames + ids.astype(np.float32)),
    )


def test_rounding_may_decide_between_equals(exported: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this stretch two hypotheses lie within 1e-5 of each other."""
    artifact, samples = exported("like-base"), speech_like(6.0, seed=10)
    assert verify(artifact.source, artifact.manifest, samples, TENSOR).ties == ()
    round_otherwise(monkeypatch, by=5e-5)
    found = verify(artifact.source, artifact.manifest, samples, TENSOR)
    assert [tie.backend for tie in found.ties] == list(BACKENDS)
    assert all(5e-5 < tie.difference < 5e-4 for tie in found.ties)
    assert found.tokens_equal
    assert found.num_tokens > 10
    assert found.score_error < SCORE


def test_more_than_rounding_is_a_mistake(exported: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = exported("like-base")
    round_otherwise(monkeypatch, by=5e-3)
    with pytest.raises(
        ToleranceError, match=r"where log-probabilities deviate by [45]\.\de-03, more than .* \(chunk \d+\)"
    ):
        verify(artifact.source, artifact.manifest, SAMPLES, atol=100.0)


def test_no_tie_where_hypotheses_lie_apart(exported: Export) -> None:
    assert exported("like-base").verification.ties == ()


def test_tells_where_rounding_decided_which_hypothesis_is_best(
    exported: Export, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of two symbols that differ by less than rounding PyTorch takes one for the better, the engines the other."""
    source, (better, twin) = exported("like-base").source, (16, 30)
    rnnt = deepcopy(source.rnnt)
    for parameter in (rnnt.predictor.embedding.weight, rnnt.joiner.linear.weight, rnnt.joiner.linear.bias):
        parameter[twin] = parameter[better]
    rnnt.joiner.linear.bias[twin] -= 3e-5
    change_log_probs(monkeypatch, lambda _, ids: np.float32(7e-5) * (ids == twin))
    options = ExportOptions(BACKENDS, SAMPLES)
    _, found = export_artifact(replace(source, rnnt=rnnt), tmp_path / "twins", options)
    assert {tie.backend for tie in found.ties if not tie.best_equal} == set(BACKENDS)
    assert not found.tokens_equal


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: replace(state, hypotheses=state.hypotheses[::-1]),
            r"other tokens than .* from the same .* \(chunk 0\)",
        ),
        (
            lambda state: replace(state, hypotheses=state.hypotheses[:-1]),
            r"other tokens than .* from the same .* \(chunk 0\)",
        ),
        (
            lambda state: replace(state, hypotheses=tuple(h._replace(score=h.score - 0.1) for h in state.hypotheses)),
            r"scores deviate .* by 1.0e-01, from the same .* \(chunk 0\)",
        ),
    ],
    ids=["order", "width", "scores"],
)
def test_a_wrong_search_is_no_tie(exported: Export, change: Any, message: str) -> None:
    """Whatever else: torchaudio's own search over the same numbers must find the same."""

    def changed(
        encodings: FloatArray, states: Sequence[SearchState], model: Model, options: SearchOptions
    ) -> list[SearchState]:
        return [change(state) for state in advance(encodings, states, model, options)]

    artifact = exported("like-base")
    with pytest.raises(ToleranceError, match=message):
        verify(artifact.source, artifact.manifest, SAMPLES, TENSOR, search=changed)
