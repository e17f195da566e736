"""The skeleton of emf-bench's `--json`: scripts that read it go on working."""

import json
from pathlib import Path

import pytest
import soundfile

from emf.runtime.arrays import FloatArray
from emf.runtime.commands.bench import main
from emf.runtime.measure.latency import Measurements
from tests.signals import speech_like
from tests.skeleton import expected_skeleton, in_order, pin, skeleton

CASES = {
    "one stream": [],
    "number of streams": ["--streams", "2", "--load-seconds", "1", "--deadline-ms", "60000"],
    "capacity and baseline": [
        *("--streams", "auto", "--load-seconds", "1", "--deadline-ms", "1"),
        *("--compare", "torchaudio", "--checkpoint", "none"),
    ],
}


class _Baseline:
    """Measures what torchaudio's baselines measure: three components, no delays of stable text."""

    def measure(self, samples: FloatArray, measurements: Measurements) -> None:
        measurements.chunks.append(0.004)
        measurements.first_results.append(0.004)
        measurements.components.append({"features": 0.001, "encoder": 0.002, "search": 0.001})
        measurements.processing += 0.004
        measurements.audio += len(samples) / 16_000
        measurements.tokens.append(())


@pytest.mark.parametrize("case", CASES)
def test_the_skeleton_stays_as_it_is(
    case: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tiny_artifact: Path,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("emf.runtime.commands.bench.load_baseline", lambda name: lambda *_: _Baseline())
    soundfile.write(tmp_path / "speech.wav", speech_like(2.0), 16_000)
    arguments = [str(tiny_artifact), "--audio", str(tmp_path / "speech.wav"), "--num-threads", "1", "--json"]
    assert main([*arguments, *CASES[case]]) == 0
    document = json.loads(capsys.readouterr().out)
    pin(document, stolen_share=0.0)
    pin(document["machine"], instruction_sets=["avx2"])
    assert in_order(skeleton(document)) == in_order(expected_skeleton("bench_skeleton.json")[case])
