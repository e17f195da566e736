"""Calibration that walks the state: the float model decodes real audio, and its graphs' inputs are kept.

A transducer quantized on zero states loses words, because the ranges it then knows are not those
of a running stream. So the float runtime decodes with beam search, and what is recorded are the
inputs that the three graphs really got: with empty and with full left context, in the flush at
the end, and for all hypotheses of the beam, not only the best.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from emf.quantize.corpus import load_samples, require_speech
from emf.runtime.arrays import Array, Arrays, FloatArray
from emf.runtime.artifact.files import sha256_of
from emf.runtime.artifact.manifest import GRAPH_NAMES, Manifest
from emf.runtime.audio.features import FeatureExtractor
from emf.runtime.errors import AudioError
from emf.runtime.inference.session import Session
from emf.runtime.recognition.recognizer import Recognizer
from emf.runtime.speech.utterances import Utterance

STAGE_SHARES = {"first": 0.2, "full_context": 0.6, "flush": 0.2}
"""How many of the samples come from each stage of a stream."""
Progress = Callable[[Sequence[Utterance]], Iterable[Utterance]]


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """What to record.

    Attributes:
        num_samples: samples of each graph at the most.
        seed: of the reservoirs, and of the order of utterances.
        beam_width: of the search whose hypotheses are recorded.
        max_seconds: of audio decoded, whole utterances until it is reached.
    """

    num_samples: int = 300
    seed: int = 0
    beam_width: int = 10
    max_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Recorded inputs, and where they come from.

    Attributes:
        samples: of each graph: real calls, every tensor with the batch it had.
        description: JSON document: files with hashes, counts, seeds.
    """

    samples: Mapping[str, tuple[Arrays, ...]]
    description: Mapping[str, Any]


class Reservoir:
    """A uniform sample of everything offered, of fixed size (Vitter's algorithm R)."""

    def __init__(self, capacity: int, seed: int) -> None:
        self.items: list[dict[str, Array]] = []
        self.offered = 0
        self._capacity = capacity
        self._random = np.random.default_rng(seed)

    def offer(self, inputs: Arrays) -> None:
        """Take a copy of the inputs of a call, or let it go."""
        self.offered += 1
        slot = len(self.items)
        if slot == self._capacity:
            slot = int(self._random.integers(self.offered))
            if slot >= self._capacity:
                return
        self.items[slot : slot + 1] = [{name: _copy(array) for name, array in inputs.items()}]


def _copy(array: Array) -> Array:
    """A copy in numpy's own type: ONNX Runtime gives C's long long for int64, which OpenVINO does not take."""
    copy: Array = np.empty(array.shape, np.dtype(array.dtype.name))
    copy[...] = array
    return copy


class Recorder:
    """Reservoirs of one graph, one for each stage; `stage` says where the stream is."""

    def __init__(self, options: CalibrationOptions) -> None:
        self.stage = "first"
        self.reservoirs = {
            stage: Reservoir(max(1, round(options.num_samples * share)), options.seed + index)
            for index, (stage, share) in enumerate(STAGE_SHARES.items())
        }

    def wrap(self, session: Session) -> "RecordingSession":
        """The session with its inputs recorded."""
        return RecordingSession(session, self)

    def samples(self) -> tuple[Arrays, ...]:
        """All that was kept."""
        return tuple(item for reservoir in self.reservoirs.values() for item in reservoir.items)

    def counts(self) -> dict[str, dict[str, int]]:
        """Calls seen and kept, by stage."""
        return {name: {"seen": r.offered, "kept": len(r.items)} for name, r in self.reservoirs.items()}


class RecordingSession:
    """A session that shows its inputs to a recorder; see `emf.runtime.inference.session.Session`."""

    def __init__(self, session: Session, recorder: Recorder) -> None:
        self._session = session
        self._recorder = recorder

    @property
    def precision(self) -> str:
        """That of the session."""
        return self._session.precision

    def blocks(self, num_rows: int) -> tuple[int, ...]:
        """All rows at once: rows added to fill a block would be recorded."""
        return (num_rows,)

    def warm_up(self, num_rows: int) -> None:
        """That of the session."""
        self._session.warm_up(num_rows)

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Array]:
        """Record, then run."""
        self._recorder.reservoirs[self._recorder.stage].offer(inputs)
        return self._session.run(inputs, outputs)


@dataclass(frozen=True, slots=True)
class _Recording:
    """An `Instrument` that shows every graph's inputs to its recorder."""

    recorders: Mapping[str, Recorder]

    def around_session(self, graph: str, session: Session) -> Session:
        return self.recorders[graph].wrap(session)

    def around_features(self, extractor: FeatureExtractor) -> FeatureExtractor:
        return extractor


def calibrate(
    manifest: Manifest, utterances: Sequence[Utterance], options: CalibrationOptions, progress: Progress = iter
) -> CalibrationSet:
    """Decode the utterances with the float graphs and record their inputs.

    Args:
        manifest: of an artifact with a float variant.
        utterances: speech, of which a random part is decoded if there is more than needed.
        options: how much to decode and to keep.
        progress: wraps the loop over utterances.

    Raises:
        AudioError: the audio is silence, or the model recognises nothing in it.
    """
    recorders = {name: Recorder(options) for name in GRAPH_NAMES}
    recognizer = Recognizer.load(manifest.root, beam_width=options.beam_width, instrument=_Recording(recorders))
    digest, seconds, peak = hashlib.sha256(), 0.0, 0.0
    files = []
    order = np.random.default_rng(options.seed).permutation(len(utterances))
    for utterance in progress([utterances[index] for index in order]):
        if seconds >= options.max_seconds:
            break
        samples = load_samples(utterance, recognizer.sample_rate)
        seconds += len(samples) / recognizer.sample_rate
        peak = max(peak, float(np.max(np.abs(samples), initial=0.0)))
        file = {"name": utterance.path.name, "sha256": sha256_of(utterance.path)}
        files.append(file)
        digest.update(file["sha256"].encode())
        _roll(recognizer, recorders, samples)
    folder = utterances[0].path.parent
    require_speech(peak, str(folder))
    if not _tokens_extended(recorders["predictor"]):
        raise AudioError(
            f"{folder}: expected speech that the model recognises, but it gave no token in "
            f"{seconds:.1f} s; name audio of the model's language and domain"
        )
    description = {
        **asdict(options),
        "files": files,
        "files_sha256": digest.hexdigest(),
        "seconds": round(seconds, 3),
        "samples": {name: recorder.counts() for name, recorder in recorders.items()},
    }
    return CalibrationSet({name: recorder.samples() for name, recorder in recorders.items()}, description)


def _roll(recognizer: Recognizer, recorders: Mapping[str, Recorder], samples: FloatArray) -> None:
    """Decode one utterance from its first chunk through its flush."""
    geometry = recognizer.transducer.manifest.geometry

    def decode(flush: bool) -> None:
        while recognizer.is_ready(stream):
            filling = stream.state.clock.step * geometry.frames_per_step < geometry.left_context_length
            for recorder in recorders.values():
                recorder.stage = "first" if filling else "flush" if flush else "full_context"
            recognizer.decode_streams([stream])

    stream = recognizer.create_stream()
    stream.accept_waveform(recognizer.sample_rate, samples)
    decode(flush=False)
    stream.input_finished()
    decode(flush=True)


def _tokens_extended(recorder: Recorder) -> int:
    """Calls of the predictor beyond the one that starts every search."""
    return sum(reservoir.offered for reservoir in recorder.reservoirs.values()) - 1
