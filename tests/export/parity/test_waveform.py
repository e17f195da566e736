"""Tokens from the waveform on: our own frontend, buffer and states beside torchaudio's documented loop."""

import pytest

from emf.export.parity.verify import verify
from emf.runtime.audio.sample_buffer import SampleBuffer
from emf.runtime.inference.session import BACKENDS
from tests.conftest import Export
from tests.signals import speech_like
from tests.tolerances import SCORE, TENSOR

NAMES = ["like-base", "memory-tanh", "odd-lengths"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seconds", [0.01, 2.03])
def test_equals_torchaudio(exported: Export, name: str, seconds: float) -> None:
    artifact = exported(name)
    found = verify(artifact.source, artifact.manifest, speech_like(seconds), TENSOR, from_waveform=True)
    assert [waveform.backend for waveform in found.waveforms] == list(BACKENDS)
    for waveform in found.waveforms:
        assert waveform.mistake is None and waveform.tokens_equal and waveform.score_error < SCORE
    assert found.num_tokens > 5 or seconds < 1.0


def test_a_fault_between_the_samples_and_the_features_is_found(
    exported: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A buffer that forgets a hop too much: no graph and no feature of a whole recording shows it."""
    drop_before = SampleBuffer.drop_before
    monkeypatch.setattr(SampleBuffer, "drop_before", lambda self, index: drop_before(self, index + 160))
    artifact = exported("like-base")
    found = verify(artifact.source, artifact.manifest, speech_like(2.0), TENSOR, from_waveform=True)
    assert found.tokens_equal, "torchaudio's features do not pass through the buffer"
    for waveform in found.waveforms:
        assert waveform.mistake is not None and "tokens" in waveform.mistake
