"""A stream's state as bytes, to go on in another process: what `Stream.snapshot` and `restore_stream` exchange."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from emf.runtime.arrays import Array, FloatArray
from emf.runtime.artifact.json_fields import JsonFields
from emf.runtime.audio.resampler import Resampler, ResamplerState
from emf.runtime.audio.sample_buffer import SampleBuffer
from emf.runtime.errors import SnapshotError
from emf.runtime.guidance.guidance import Guidance
from emf.runtime.guidance.preparation import Preparation
from emf.runtime.inference.encoder_state import EncoderState
from emf.runtime.recognition.packed_arrays import pack, unpack
from emf.runtime.recognition.snapshot_guidance import describe_language_model, describe_phrases, read_guidance
from emf.runtime.recognition.stream_settings import StreamSettings
from emf.runtime.recognition.stream_state import Encodings, StreamClock, StreamState
from emf.runtime.search.emissions import Emissions
from emf.runtime.search.hypothesis import Hypothesis, SearchState

_MAX_HYPOTHESES = 1000
_ENCODER = "encoder."
"""What the names of the encoder's arrays begin with."""


def take_snapshot(state: StreamState, identity: Mapping[str, str]) -> bytes:
    """All state of a stream as bytes; `identity` says what it can be restored into."""
    search, hypotheses = state.search, state.search.hypotheses
    resampler = state.resampler.state() if state.resampler else None
    places = [h.place for h in hypotheses]
    header = {
        "identity": dict(identity),
        "start": state.audio.start,
        "finished": state.audio.finished,
        "step": state.clock.step,
        "segment": state.clock.segment,
        "segment_start_frame": state.clock.segment_start,
        "num_committed": search.num_committed,
        "num_frames": search.num_frames,
        "lengths": [len(h.emissions) for h in hypotheses],
        **describe_phrases(search.guidance, places),
        "resampler": [resampler.source_rate, resampler.consumed, resampler.produced] if resampler else [],
        **describe_language_model(search.guidance, places),
    }
    if state.in_passes or state.ahead:
        header |= {"in_passes": state.in_passes, "ahead": len(state.ahead)}
    disputed = sum((h.emissions for h in hypotheses), Emissions())
    arrays: dict[str, Array] = {
        "samples": state.audio.samples,
        "history": resampler.history if resampler else np.zeros(0, np.float32),
        **_columns("", state.emitted),
        **_columns("beam_", disputed),
        "beam_scores": np.array([h.score for h in hypotheses], np.float32),
        "beam_predictions": np.stack([h.prediction for h in hypotheses]),
        "beam_states": np.stack([h.state for h in hypotheses]),
    }
    if state.ahead:
        arrays["ahead"] = np.stack(state.ahead)
    arrays |= {f"{_ENCODER}{name}": array for name, array in state.encoder.arrays.items()}
    return pack(header, arrays)


def _columns(prefix: str, emissions: Emissions) -> dict[str, Array]:
    return {
        f"{prefix}tokens": np.array(emissions.tokens, np.int64),
        f"{prefix}timestamps": np.array(emissions.frames, np.int64),
        f"{prefix}log_probs": np.array(emissions.log_probs, np.float32),
    }


def restore_snapshot(
    blob: bytes, settings: StreamSettings, identity: Mapping[str, str], start: StreamState, preparation: Preparation
) -> StreamState:
    """The state that `take_snapshot` took.

    Args:
        blob: the snapshot.
        settings: of the recognizer that goes on with it.
        identity: what it must have been taken with.
        start: the state of a stream that begins here, which shows the shapes, and brings the language model.
        preparation: makes guidance ready for the model's vocabulary.

    Raises:
        SnapshotError: the bytes are damaged, foreign, contradict each other, or do not fit.
    """
    header, arrays = unpack(blob)
    fields = JsonFields(header, "the snapshot does not fit this model", SnapshotError, "use another copy")
    _check_identity(fields, identity)
    try:
        return _Restoring(fields, arrays, settings, start, preparation).state()
    except SnapshotError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise SnapshotError(f"the snapshot does not fit this model: {error}; use another copy") from error


def _check_identity(fields: JsonFields, identity: Mapping[str, str]) -> None:
    found = fields.mapping("identity")
    for name, expected in identity.items():
        if found.get(name) != expected:
            raise SnapshotError(
                f"the snapshot was taken with another {name} ({found.get(name)!s:.20}, here {expected:.20}); restore "
                "it with the same artifact, precision and frontend, or pass allow_other_precision=True for another "
                "precision"
            )


@dataclass(frozen=True, slots=True)
class _Restoring:
    """One snapshot being read and checked, part by part."""

    header: JsonFields
    arrays: Mapping[str, Array]
    settings: StreamSettings
    start: StreamState
    preparation: Preparation

    def state(self) -> StreamState:
        clock = StreamClock(*(self.header.integer(name) for name in ("step", "segment", "segment_start_frame")))
        search = self._search(clock)
        encoder = {name[len(_ENCODER) :]: array for name, array in self.arrays.items() if name.startswith(_ENCODER)}
        audio, resampler = self._audio(clock)
        ahead = self._ahead(clock, audio)
        return StreamState(
            encoder=EncoderState.after(clock.step + len(ahead), self.start.encoder.layout, encoder),
            search=search,
            audio=audio,
            resampler=resampler,
            emitted=self._emitted(clock, search),
            clock=clock,
            ahead=ahead,
            in_passes=self.header.has("in_passes") and self.header.flag("in_passes"),
        )

    def _require(self, condition: bool, message: str) -> None:
        self.header.require(condition, message)

    def _audio(self, clock: StreamClock) -> tuple[SampleBuffer, Resampler | None]:
        extractor = self.settings.extractor
        audio = SampleBuffer(self._floats("samples"), self.header.integer("start"), self.header.flag("finished"))
        resampler, described = None, self.header.integers("resampler")
        if described:
            self._require(len(described) == 3, "'resampler' must be a rate and two counts")
            rate, consumed, produced = described
            taken = ResamplerState(rate, consumed, produced, self._floats("history"))
            resampler = Resampler.restore(taken, self.settings.sample_rate)
            if rate != self.settings.sample_rate:
                fits = produced <= audio.end if audio.finished else produced == audio.end
                self._require(fits, f"{produced} samples came, but the audio ends at {audio.end}")
        self._require(bool(described) or not audio.end, "there is audio, but nothing says at which rate it came")
        kept_from = min(extractor.first_sample(clock.step), audio.end)
        self._require(audio.start == kept_from, f"audio must be kept from sample {kept_from} on")
        decoded = clock.step == 0 or extractor.is_ready(audio, clock.step - 1)
        self._require(decoded, f"there was never audio for {clock.step} steps")
        return audio, resampler

    def _ahead(self, clock: StreamClock, audio: SampleBuffer) -> Encodings:
        """The encodings of segments that the encoder has taken, and the search has not."""
        count = self.header.integer("ahead") if self.header.has("ahead") else 0
        if not count:
            return ()
        heard = self.settings.extractor.is_ready(audio, clock.step + count - 1)
        self._require(heard, f"there was never audio for {count} steps more")
        shape = (count, self.settings.frames_per_step, *self.start.search.best.prediction.shape)
        return tuple(self._floats("ahead", shape))

    def _search(self, clock: StreamClock) -> SearchState:
        committed, frames = self.header.integer("num_committed"), self.header.integer("num_frames")
        self._require(frames == clock.step * self.settings.frames_per_step, f"{clock.step} steps give other frames")
        self._require(clock.segment_start <= frames, "the segment begins after the last frame")
        guidance, places = read_guidance(self.header, self.start.search.guidance, self.preparation)
        hypotheses = self._hypotheses(frames)
        if guidance:
            self._require(len(places) == len(hypotheses), "each hypothesis must have its place in the guidance")
            hypotheses = [h._replace(place=place) for h, place in zip(hypotheses, places, strict=True)]
        return SearchState(tuple(hypotheses), committed, frames, guidance or Guidance())

    def _hypotheses(self, frames: int) -> list[Hypothesis]:
        lengths = self.header.integers("lengths")
        disputed = self._emissions("beam_", frames)
        example, count = self.start.search.best, len(lengths)
        self._require(1 <= count <= _MAX_HYPOTHESES, f"expected 1 to {_MAX_HYPOTHESES} hypotheses, found {count}")
        self._require(sum(lengths) == len(disputed), "the hypotheses' lengths do not add up")
        scores = self._floats("beam_scores", (count,)).tolist()
        predictions = self._floats("beam_predictions", (count, *example.prediction.shape))
        states = self._floats("beam_states", (count, *example.state.shape))
        ends = np.cumsum(lengths).tolist()
        spans = [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
        hypotheses = [
            Hypothesis(disputed[span], score, prediction, state)
            for span, score, prediction, state in zip(spans, scores, predictions, states, strict=True)
        ]
        self._require(len({h.tokens for h in hypotheses}) == count, "two hypotheses have the same tokens")
        return hypotheses

    def _emitted(self, clock: StreamClock, search: SearchState) -> Emissions:
        emitted = self._emissions("", search.num_frames)
        whole = clock.segment == 0
        fits = len(emitted) == search.num_committed if whole else len(emitted) <= search.num_committed
        self._require(fits, f"{len(emitted)} tokens were emitted, but {search.num_committed} committed")
        self._require(not whole or clock.segment_start == 0, "the first segment begins at frame 0")
        return emitted

    def _emissions(self, prefix: str, num_frames: int) -> Emissions:
        tokens = self._integers(f"{prefix}tokens", len(self.preparation.table.pieces))
        frames = self._integers(f"{prefix}timestamps", num_frames)
        return Emissions(tokens, frames, tuple(self._floats(f"{prefix}log_probs").tolist()))

    def _floats(self, name: str, shape: tuple[int, ...] | None = None) -> FloatArray:
        """A float32 array of finite numbers: of this shape, or else a row."""
        found = self._array(name, np.dtype(np.float32), shape)
        self._require(bool(np.isfinite(found).all()), f"{name} must be finite")
        return found.astype(np.float32)

    def _integers(self, name: str, end: int) -> tuple[int, ...]:
        """A row of integers from 0 to below `end`."""
        integers: list[int] = self._array(name, np.dtype(np.int64), None).tolist()
        self._require(all(0 <= value < end for value in integers), f"{name} must lie below {end}")
        return tuple(integers)

    def _array(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...] | None) -> Array:
        self._require(name in self.arrays, f"array {name!r} is missing")
        found = self.arrays[name]
        fits = found.dtype == dtype and (found.ndim == 1 if shape is None else found.shape == shape)
        self._require(fits, f"{name} is {found.dtype} of shape {found.shape}, which does not fit")
        return found
