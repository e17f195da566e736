"""A stream as bytes, to go on in another process: what `Stream.snapshot` and `restore_stream` exchange."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from emf.runtime.arrays import Array
from emf.runtime.artifact.json_fields import JsonFields
from emf.runtime.artifact.tokens import TokenTable
from emf.runtime.audio.resampler import Resampler, ResamplerState
from emf.runtime.audio.sample_buffer import SampleBuffer
from emf.runtime.errors import SnapshotError
from emf.runtime.guidance.biasing import MAX_SCORE, Biasing
from emf.runtime.guidance.fusion import MAX_WEIGHT, MAX_WORD_SCORE, Fusion
from emf.runtime.recognition.packed_arrays import pack, unpack
from emf.runtime.search.hypothesis import Hypothesis, SearchState

if TYPE_CHECKING:
    from emf.runtime.recognition.stream import Stream

_MAX_HYPOTHESES = 1000


def take_snapshot(stream: "Stream", identity: Mapping[str, str]) -> bytes:
    """All state of a stream as bytes; `identity` says what it can be restored into."""
    state = stream.search_state
    hypotheses = state.hypotheses
    resampler = stream.resampler.state() if stream.resampler else None
    header = {
        "identity": dict(identity),
        "start": stream.buffer.start,
        "finished": stream.buffer.finished,
        "step": stream.step,
        "segment": stream.segment,
        "segment_start_frame": stream.segment_start_frame,
        "num_committed": state.num_committed,
        "num_frames": state.num_frames,
        "lengths": [len(h.tokens) for h in hypotheses],
        "phrases": state.biasing.phrases if state.biasing else {},
        "bias_paths": [h.bias.path if h.bias else "" for h in hypotheses],
        "resampler": [resampler.source_rate, resampler.consumed, resampler.produced] if resampler else [],
    }
    if state.fusion:
        header["language_model"] = _describe_fusion(state.fusion, hypotheses)
    arrays: dict[str, Array] = {
        "samples": stream.buffer.samples,
        "history": resampler.history if resampler else np.zeros(0, np.float32),
        "tokens": np.array(stream.tokens, np.int64),
        "timestamps": np.array(stream.timestamps, np.int64),
        "log_probs": np.array(stream.log_probs, np.float32),
        "beam_tokens": np.array([t for h in hypotheses for t in h.tokens], np.int64),
        "beam_timestamps": np.array([t for h in hypotheses for t in h.timestamps], np.int64),
        "beam_log_probs": np.array([p for h in hypotheses for p in h.log_probs], np.float32),
        "beam_scores": np.array([h.score for h in hypotheses], np.float32),
        "beam_predictions": np.stack([h.prediction for h in hypotheses]),
        "beam_states": np.stack([h.state for h in hypotheses]),
    }
    arrays |= {f"encoder.{name}": array for name, array in stream.encoder_state.arrays.items()}
    return pack(header, arrays)


def _describe_fusion(fusion: Fusion, hypotheses: Sequence[Hypothesis]) -> dict[str, object]:
    places = [h.word or fusion.root for h in hypotheses]
    return {
        "fingerprint": fusion.model.ngrams.fingerprint,
        "weight": fusion.model.weight,
        "word_score": fusion.model.word_score,
        "contexts": [" ".join(fusion.model.ngrams.words[index] for index in place.context) for place in places],
        "words": [place.word for place in places],
    }


def restore_snapshot(stream: "Stream", blob: bytes, identity: Mapping[str, str], table: TokenTable) -> None:
    """Give a new stream the state that `take_snapshot` took.

    Raises:
        SnapshotError: the bytes are damaged, foreign, or do not fit; the stream must not be used then.
    """
    header, arrays = unpack(blob)
    found = header.get("identity")
    for name, expected in identity.items():
        if not isinstance(found, dict) or found.get(name) != expected:
            was = found.get(name) if isinstance(found, dict) else None
            raise SnapshotError(
                f"the snapshot was taken with another {name} ({was!s:.20}, here {expected:.20}); restore it with the "
                "same artifact, precision and frontend, or pass allow_other_precision=True for another precision"
            )
    try:
        _restore(stream, JsonFields(header, "snapshot"), arrays, table)
    except SnapshotError:
        raise
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise SnapshotError(f"the snapshot does not fit this model ({error}); use another copy") from error


def _restore(stream: "Stream", header: JsonFields, arrays: dict[str, Array], table: TokenTable) -> None:
    stream.buffer = SampleBuffer(arrays["samples"].astype(np.float32), header.integer("start"))
    stream.buffer.finished = header.flag("finished")
    resampler = header.integers("resampler")
    if resampler:
        rate, consumed, produced = resampler
        state = ResamplerState(rate, consumed, produced, arrays["history"].astype(np.float32))
        stream.resampler = Resampler.restore(state, stream.settings.sample_rate)
    stream.step, stream.segment = header.integer("step"), header.integer("segment")
    stream.segment_start_frame = header.integer("segment_start_frame")
    stream.encoder_state.steps = stream.step
    for name, array in stream.encoder_state.arrays.items():
        _assign(array, arrays[f"encoder.{name}"], name)
    num_symbols = len(table.pieces)
    stream.tokens = [_token(t, num_symbols) for t in arrays["tokens"].tolist()]
    stream.timestamps, stream.log_probs = arrays["timestamps"].tolist(), arrays["log_probs"].tolist()
    hypotheses = _hypotheses(header.integers("lengths"), arrays, stream.search_state.hypotheses[0], num_symbols)
    committed, frames = header.integer("num_committed"), header.integer("num_frames")
    fusion = stream.search_state.fusion
    biased = _with_biasing(SearchState(hypotheses, committed, frames), header, table)
    stream.search_state = _with_fusion(biased, header, fusion, table)


def _with_biasing(state: SearchState, header: JsonFields, table: TokenTable) -> SearchState:
    fields = header.fields("phrases")
    scores = {phrase: fields.number(phrase, -MAX_SCORE, MAX_SCORE) for phrase in header.mapping("phrases")}
    if not scores:
        return state
    biasing = Biasing(scores, table)
    places = [biasing.find(path) for path in header.texts("bias_paths")]
    biased = tuple(h._replace(bias=place) for h, place in zip(state.hypotheses, places, strict=True))
    return replace(state, hypotheses=biased, biasing=biasing)


def _with_fusion(state: SearchState, header: JsonFields, fusion: Fusion | None, table: TokenTable) -> SearchState:
    """The state with the language model that the snapshot tells of; `fusion` is the one at hand."""
    if not header.has("language_model"):
        return state
    fields = header.fields("language_model")
    taken, here = fields.text("fingerprint"), fusion.model.ngrams.fingerprint if fusion else "none"
    if fusion is None or taken != here:
        raise SnapshotError(
            f"the snapshot was taken with another language model ({taken:.12}, here {here:.12}); "
            "pass restore_stream the stream's own"
        )
    weight = fields.number("weight", 0.0, MAX_WEIGHT)
    word_score = fields.number("word_score", -MAX_WORD_SCORE, MAX_WORD_SCORE)
    fusion = Fusion(replace(fusion.model, weight=weight, word_score=word_score), table)
    ids = fusion.model.ngrams.ids
    contexts = [[ids[word] for word in context.split(" ") if word] for context in fields.texts("contexts")]
    places = [fusion.place(c, word) for c, word in zip(contexts, fields.texts("words"), strict=True)]
    placed = tuple(h._replace(word=place) for h, place in zip(state.hypotheses, places, strict=True))
    return replace(state, hypotheses=placed, fusion=fusion)


def _hypotheses(
    lengths: tuple[int, ...], arrays: dict[str, Array], example: Hypothesis, num_symbols: int
) -> tuple[Hypothesis, ...]:
    if not 1 <= len(lengths) <= _MAX_HYPOTHESES or sum(lengths) != len(arrays["beam_tokens"]):
        raise ValueError("the hypotheses' lengths do not add up")
    predictions = np.zeros((len(lengths), *example.prediction.shape), np.float32)
    states = np.zeros((len(lengths), *example.state.shape), np.float32)
    _assign(predictions, arrays["beam_predictions"], "predictions")
    _assign(states, arrays["beam_states"], "states")
    tokens, timestamps, log_probs = (arrays[f"beam_{name}"].tolist() for name in ("tokens", "timestamps", "log_probs"))
    scores = arrays["beam_scores"].tolist()
    hypotheses, begin = [], 0
    for index, length in enumerate(lengths):
        span = slice(begin, begin + length)
        begin += length
        hypotheses.append(
            Hypothesis(
                tuple(_token(t, num_symbols) for t in tokens[span]),
                tuple(timestamps[span]),
                tuple(log_probs[span]),
                scores[index],
                predictions[index],
                states[index],
            )
        )
    return tuple(hypotheses)


def _token(token: Any, num_symbols: int) -> int:
    if not 0 <= token < num_symbols:
        raise ValueError(f"token {token} is outside the vocabulary")
    return int(token)


def _assign(target: Array, source: Array, name: str) -> None:
    if source.shape != target.shape:
        raise ValueError(f"{name} has shape {source.shape} instead of {target.shape}")
    target[...] = source.astype(target.dtype)
