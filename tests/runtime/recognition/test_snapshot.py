"""A stream that moves: restored anywhere, its text is that of the undisturbed stream; foreign bytes are refused."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime import Recognizer, Result, SnapshotError, Stream
from emf.runtime.arrays import FloatArray
from emf.runtime.inference.session import BACKENDS
from emf.runtime.recognition.packed_arrays import pack, unpack
from tests.signals import speech_like

SECONDS = 4.0


@pytest.fixture(scope="module", params=BACKENDS)
def recognizer(request: pytest.FixtureRequest, tiny_artifact: Path) -> Recognizer:
    return Recognizer.load(tiny_artifact, backend=request.param, num_threads=1)


def finish(recognizer: Recognizer, stream: Stream) -> Result:
    stream.input_finished()
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
    return recognizer.get_result(stream)


def decoded(recognizer: Recognizer, samples: FloatArray, rate: int = 16_000) -> Stream:
    stream = recognizer.create_stream()
    stream.accept_waveform(rate, samples)
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
    return stream


@given(
    cut=st.integers(0, int(SECONDS * 44_100)), rate=st.sampled_from([8_000, 16_000, 44_100]), steps=st.integers(0, 9)
)
def test_restored_at_any_sample_the_result_is_the_same(recognizer: Recognizer, cut: int, rate: int, steps: int) -> None:
    samples = speech_like(SECONDS, sample_rate=rate)
    whole = recognizer.transcribe(samples, rate)
    stream = recognizer.create_stream()
    stream.accept_waveform(rate, samples[:cut])
    for _ in range(steps):
        recognizer.decode_streams([stream])
    moved = recognizer.restore_stream(stream.snapshot())
    moved.accept_waveform(rate, samples[cut:])
    result = finish(recognizer, moved)
    assert result.token_ids == whole.token_ids
    assert result.timestamps == whole.timestamps
    assert [a.text for a in result.nbest] == [a.text for a in whole.nbest]
    assert result.score == pytest.approx(whole.score, abs=1e-3)


def test_emits_something(recognizer: Recognizer) -> None:
    assert len(recognizer.transcribe(speech_like(SECONDS), 16_000).token_ids) > 3


def test_restored_in_another_process(recognizer: Recognizer, tiny_artifact: Path, tmp_path: Path) -> None:
    samples = speech_like(SECONDS)
    stream = decoded(recognizer, samples[:30_001])
    (tmp_path / "stream.bin").write_bytes(stream.snapshot())
    np.save(tmp_path / "rest.npy", samples[30_001:])
    script = (
        "import sys, numpy as np\n"
        "from emf.runtime import Recognizer\n"
        "artifact, blob, rest = sys.argv[1:]\n"
        "r = Recognizer.load(artifact, num_threads=1)\n"
        "s = r.restore_stream(open(blob, 'rb').read())\n"
        "s.accept_waveform(16000, np.load(rest)); s.input_finished()\n"
        "while r.is_ready(s): r.decode_streams([s])\n"
        "print(*r.get_result(s).token_ids)\n"
    )
    arguments = [str(tiny_artifact), str(tmp_path / "stream.bin"), str(tmp_path / "rest.npy")]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert [int(token) for token in done.stdout.split()] == list(recognizer.transcribe(samples, 16_000).token_ids)


_SERVICE = """
import os, sys, time
import numpy as np
from emf.runtime import Recognizer
artifact, backend, audio, folder = sys.argv[1:]
recognizer = Recognizer.load(artifact, backend=backend, num_threads=1)
stream, samples = recognizer.create_stream(), np.load(audio)
for begin in range(0, len(samples), 1000):
    stream.accept_waveform(16_000, samples[begin : begin + 1000])
    recognizer.decode_streams([stream])
    with open(f"{folder}/part", "wb") as file:
        file.write(stream.snapshot())
    os.replace(f"{folder}/part", f"{folder}/{begin + 1000:06d}.bin")
    time.sleep(0.02)
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_restored_after_the_process_was_killed(tiny_artifact: Path, tmp_path: Path, backend: str) -> None:
    samples = speech_like(SECONDS)
    recognizer = Recognizer.load(tiny_artifact, backend=backend, num_threads=1)
    np.save(tmp_path / "audio.npy", samples)
    arguments = [str(tiny_artifact), backend, str(tmp_path / "audio.npy"), str(tmp_path)]
    with subprocess.Popen([sys.executable, "-c", _SERVICE, *arguments]) as service:
        end = time.monotonic() + 60
        while len(list(tmp_path.glob("*.bin"))) < 9 and time.monotonic() < end:
            time.sleep(0.005)
        service.kill()
    last = max(tmp_path.glob("*.bin"))
    heard = int(last.stem)
    assert 9_000 <= heard < len(samples), "killed while it was listening"
    stream = recognizer.restore_stream(last.read_bytes())
    stream.accept_waveform(16_000, samples[heard:])
    assert finish(recognizer, stream).token_ids == recognizer.transcribe(samples, 16_000).token_ids


def test_a_snapshot_leaves_the_stream_as_it_was(recognizer: Recognizer) -> None:
    samples = speech_like(SECONDS)
    stream = decoded(recognizer, samples[:20_000])
    assert stream.snapshot() == stream.snapshot()
    twin = recognizer.restore_stream(stream.snapshot())
    stream.accept_waveform(16_000, samples[20_000:])
    twin.accept_waveform(16_000, np.zeros(50_000, np.float32))
    finish(recognizer, twin)
    assert finish(recognizer, stream).token_ids == recognizer.transcribe(samples, 16_000).token_ids


@given(position=st.integers(0, 10**9), flip=st.integers(1, 255))
def test_any_damaged_byte_is_refused(recognizer: Recognizer, position: int, flip: int) -> None:
    blob = bytearray(decoded(recognizer, speech_like(1.0)).snapshot())
    blob[position % len(blob)] ^= flip
    with pytest.raises(SnapshotError):
        recognizer.restore_stream(bytes(blob))


@given(blob=st.binary(max_size=200))
def test_foreign_bytes_are_refused(recognizer: Recognizer, blob: bytes) -> None:
    with pytest.raises(SnapshotError):
        recognizer.restore_stream(blob)


@given(length=st.integers(0, 10**9))
def test_a_part_of_a_snapshot_is_refused(recognizer: Recognizer, length: int) -> None:
    blob = recognizer.create_stream().snapshot()
    with pytest.raises(SnapshotError):
        recognizer.restore_stream(blob[: length % len(blob)])


@pytest.mark.parametrize("name", ["samples", "tokens", "beam_states", "encoder.attention_cache", "encoder.units"])
def test_arrays_that_do_not_fit_are_refused(recognizer: Recognizer, name: str) -> None:
    header, arrays = unpack(decoded(recognizer, speech_like(1.0)).snapshot())
    arrays[name] = np.full((3, 5), 10**6, arrays[name].dtype if name in arrays else np.float32)
    if name == "samples":
        del arrays[name]
    with pytest.raises(SnapshotError, match="does not fit"):
        recognizer.restore_stream(pack(header, arrays))


def test_another_frontend_is_refused(recognizer: Recognizer, tiny_artifact: Path) -> None:
    default = recognizer.settings.identity["frontend"]
    other = "windowed" if default == "continuous" else "continuous"
    blob = Recognizer.load(tiny_artifact, num_threads=1, frontend=other).create_stream().snapshot()
    with pytest.raises(SnapshotError, match="frontend"):
        recognizer.restore_stream(blob)


def test_another_precision_only_on_request(recognizer: Recognizer) -> None:
    header, arrays = unpack(decoded(recognizer, speech_like(1.0)).snapshot())
    header["identity"]["precision"] = "int8"
    blob = pack(header, arrays)
    with pytest.raises(SnapshotError, match="precision"):
        recognizer.restore_stream(blob)
    assert recognizer.restore_stream(blob, allow_other_precision=True).state.clock.step == header["step"]
