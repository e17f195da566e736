"""Without a backend asked for, the one that is installed runs the artifact."""

import sys
from pathlib import Path

import pytest
import soundfile

from emf.runtime.inference.installed import installed_backend
from emf.runtime.inference.session import BACKENDS
from tests.entry_points import run
from tests.signals import SAMPLE_RATE, speech_like


@pytest.mark.parametrize("missing", BACKENDS)
def test_the_other_backend_is_taken_and_named(tiny_artifact: Path, tmp_path: Path, missing: str) -> None:
    soundfile.write(tmp_path / "speech.wav", speech_like(1.0), SAMPLE_RATE)
    (other,) = set(BACKENDS) - {missing}
    block = f"sys.modules[{missing!r}] = None"
    done = run("emf-transcribe", tiny_artifact, tmp_path / "speech.wav", "--verbose", prelude=block)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
    assert f"encoder on {other}".encode() in done.stderr
    assert (b"onnxruntime is not installed: taking openvino" in done.stderr) == (missing == "onnxruntime")


def test_a_backend_that_is_asked_for_is_not_replaced(tiny_artifact: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "speech.wav", speech_like(1.0), SAMPLE_RATE)
    block = "sys.modules['onnxruntime'] = None"
    done = run("emf-transcribe", tiny_artifact, tmp_path / "speech.wav", "--backend", "onnxruntime", prelude=block)
    assert done.returncode == 2 and b"emformer-deploy[onnxruntime]" in done.stderr


def test_the_first_is_named_where_none_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BACKENDS:
        monkeypatch.setitem(sys.modules, name, None)
    assert installed_backend(("openvino", "onnxruntime")) == "openvino"
