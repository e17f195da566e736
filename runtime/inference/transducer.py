"""The model as three functions: encode, predict, join. State goes in and comes out as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emf.runtime.arrays import Array, Arrays, FloatArray, IdArray
from emf.runtime.artifact.manifest import GRAPH_NAMES, GraphSpec, Manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.errors import ArtifactError
from emf.runtime.inference.batch_sizes import block_sizes, padded
from emf.runtime.inference.encoder_state import EncoderState, state_layout
from emf.runtime.inference.home_process import HomeProcess
from emf.runtime.inference.instrument import Instrument
from emf.runtime.inference.saturation import warn_of_saturation
from emf.runtime.inference.session import LoadedGraph, Session, load_graph, open_session, session_options
from emf.runtime.inference.state_batch import StateBatcher
from emf.runtime.search.model import Joined

_STREAMS = (1, 4, 16)
"""Streams that the encoder is prepared for; larger blocks gain little and take much more memory."""
_STREAMS_OF_A_PASS = (1,)
"""Streams in a pass over several segments: more gain nothing, a pass has rows enough."""
_MOST_HYPOTHESES = 80


@dataclass(frozen=True, slots=True)
class EncodedStep:
    """What a pass of the encoder gave for a batch of streams, whose states are still as they were.

    Attributes:
        encodings: shape (n, segments, frames_per_step, encoding_dim).
        blocks: the streams' states as they were cut into blocks, and each block's outputs.
    """

    encodings: FloatArray
    blocks: Sequence[tuple[Sequence[EncoderState], Arrays]]

    def commit(self) -> None:
        """Advance the states."""
        for states, outputs in self.blocks:
            for row, state in enumerate(states):
                state.write(outputs, row, self.encodings.shape[1])


class Transducer:
    """The three graphs of one variant in one backend. Holds no stream's state; safe to share."""

    def __init__(
        self,
        manifest: Manifest,
        graphs: Mapping[str, GraphSpec],
        sessions: Mapping[str, Session],
        num_threads: int = 1,
        passes: Session | None = None,
    ) -> None:
        """Take open sessions for `encoder`, `predictor` and `joiner`.

        Args:
            manifest: of the artifact.
            graphs: of the variant.
            sessions: of the graphs.
            num_threads: threads that lay out large batches.
            passes: the encoder for several segments of a stream in one pass.
        """
        self.manifest = manifest
        self.graphs = graphs
        self.blank_id = manifest.vocabulary.blank_id
        self._encoder, self._predictor, self._joiner = (sessions[name] for name in GRAPH_NAMES)
        self._passes = passes
        wide = graphs["encoder"].passes
        self.segments = 1 if passes is None or wide is None else wide.segments
        self._state_layout = state_layout(graphs["encoder"])
        self._batcher = StateBatcher(num_threads)
        self._home = HomeProcess() if num_threads > 1 else None
        (self._lstm,) = state_layout(graphs["predictor"])
        self._top_k = _size(graphs["joiner"], "top_log_probs")
        self.variant = graphs["encoder"].variant
        self.precision = {name: session.precision for name, session in sessions.items()}

    def initial_encoder_state(self) -> EncoderState:
        """State before the first step: zeros."""
        return EncoderState.initial(self._state_layout)

    def initial_predictor_state(self) -> FloatArray:
        """LSTM state before the first token, without the batch axis: zeros."""
        return _float(self._lstm.zeros[0].copy())

    def warm_up(self, num_streams: int, beam_width: int) -> None:
        """Prepare the backend for batches of up to `num_streams` streams."""
        self._encoder.warm_up(num_streams)
        self._predictor.warm_up(num_streams * beam_width)
        self._joiner.warm_up(num_streams * beam_width)

    def encode(self, features: FloatArray, states: Sequence[EncoderState]) -> FloatArray:
        """One step of the encoder for n streams; their states are advanced in place.

        Args:
            features: shape (n, segment_length + right_context_length, input_dim).
            states: one a stream.

        Returns:
            Encodings, shape (n, frames_per_step, encoding_dim).
        """
        step = self.encode_segments(features[:, None], states)
        step.commit()
        return step.encodings[:, 0]

    def encode_segments(self, features: FloatArray, states: Sequence[EncoderState]) -> EncodedStep:
        """One pass of the encoder for n streams; their states stay as they are until it is committed.

        Args:
            features: shape (n, segments, segment_length + right_context_length, input_dim), for one segment or for
                `self.segments`.
            states: one a stream.

        Raises:
            UsageError: the model has several threads, and this process was forked from the one that opened it.
        """
        if self._home is not None:
            self._home.check("a recognizer of several threads")
        wanted = ["encoding", *(tensor.spec.output for tensor in self._state_layout)]
        blocks: list[tuple[Sequence[EncoderState], dict[str, Array]]] = []
        count, segments, length, dim = features.shape
        session = self._encoder if segments == 1 or self._passes is None else self._passes
        windows = features.reshape(count, segments * length, dim)
        begin = 0
        for num_rows in session.blocks(len(states)):
            owners = states[begin : begin + num_rows]
            with self._batcher.batch(owners, num_rows) as arrays:
                inputs = {"features": padded(windows[begin : begin + num_rows], num_rows), **arrays}
                blocks.append((owners, session.run(inputs, wanted)))
            begin += num_rows
        encodings = [_float(outputs["encoding"])[: len(owners)] for owners, outputs in blocks]
        whole = np.concatenate(encodings)
        return EncodedStep(whole.reshape(count, segments, -1, whole.shape[2]), blocks)

    def predict(self, tokens: IdArray, states: FloatArray) -> tuple[FloatArray, FloatArray]:
        """One token further for n hypotheses; see `Model.predict`."""
        inputs: dict[str, Array] = {"token": tokens, self._lstm.name: states}
        outputs = self._predictor.run(inputs, ["prediction", self._lstm.spec.output])
        return _float(outputs["prediction"]), _float(outputs[self._lstm.spec.output])

    def join(self, encodings: FloatArray, predictions: FloatArray, temperature: float, top_k: int) -> Joined:
        """Log-probabilities of the next symbol for n hypotheses; see `Model.join`."""
        inputs = {
            "encoding": encodings,
            "prediction": predictions,
            "temperature": np.full(len(encodings), temperature, np.float32),
        }
        if top_k <= self._top_k:
            outputs = self._joiner.run(inputs, ["blank_log_prob", "top_log_probs", "top_ids"])
            top, top_ids = outputs["top_log_probs"][:, :top_k], outputs["top_ids"][:, :top_k]
            return Joined(_float(outputs["blank_log_prob"]), _float(top), top_ids.astype(np.int64, copy=False))
        outputs = self._joiner.run(inputs, ["blank_log_prob", "logits", "log_normalizer"])
        log_probs = _float(outputs["logits"]) / np.float32(temperature) - _float(outputs["log_normalizer"])[:, None]
        return _top_of(_float(outputs["blank_log_prob"]), log_probs, top_k)


def _top_of(blank: FloatArray, log_probs: FloatArray, top_k: int) -> Joined:
    top_ids = np.argsort(-log_probs, axis=1, kind="stable")[:, :top_k]
    return Joined(blank, np.take_along_axis(log_probs, top_ids, axis=1), top_ids.astype(np.int64))


def _float(array: Array) -> FloatArray:
    return array.astype(np.float32, copy=False)


def _size(graph: GraphSpec, output: str) -> int:
    for tensor in graph.outputs:
        if tensor.name == output and tensor.shape[-1] is not None:
            return tensor.shape[-1]
    raise ArtifactError(f"{graph.name}: expected an output {output!r} in the manifest; export the model again")


def load_graphs(manifest: Manifest, variant: Variant) -> dict[str, LoadedGraph]:
    """The graphs of one variant, read into memory, by name."""
    return {name: load_graph(manifest, graph) for name, graph in manifest.variant(variant).items()}


def open_transducer(
    manifest: Manifest,
    variant: Variant,
    num_threads: int,
    instrument: Instrument | None = None,
    cache_dir: Path | None = None,
    beam_width: int = 1,
    loaded: Mapping[str, LoadedGraph] | None = None,
) -> Transducer:
    """Open the three graphs of one variant for streams of `beam_width` hypotheses.

    An `instrument` wraps their sessions. `loaded` is what `load_graphs` gave for the variant; without it, each graph
    is read when it is opened. For the rest see `open_session`.
    """
    hypotheses = block_sizes(beam_width, _MOST_HYPOTHESES)
    sizes = {"encoder": _STREAMS, "predictor": hypotheses, "joiner": hypotheses}
    graphs = manifest.variant(variant)
    warn_of_saturation(manifest, variant)
    sessions: dict[str, Session] = {}
    passes: Session | None = None
    for name in GRAPH_NAMES:
        source = load_graph(manifest, graphs[name]) if loaded is None else loaded[name]
        session = open_session(manifest, graphs[name], num_threads, cache_dir, sizes[name], source)
        sessions[name] = session if instrument is None else instrument.around_session(name, session)
        wide = graphs[name].over_segments()
        if wide is not None:
            session = source.reshaped(session, session_options(wide, num_threads, cache_dir, _STREAMS_OF_A_PASS))
            passes = session if instrument is None else instrument.around_session(name, session)
    sessions["joiner"].warm_up(beam_width * manifest.geometry.frames_per_step)
    return Transducer(manifest, graphs, sessions, num_threads, passes)
