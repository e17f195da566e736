"""The least time that a chunk can take on this machine: what it must read and multiply, at rates measured beside it."""

import math
from dataclasses import dataclass

import numpy as np

from emf.runtime.artifact.manifest import GraphSpec, Manifest, TensorSpec
from emf.runtime.artifact.variant import Variant
from emf.runtime.measure.bandwidth import measure_bandwidth, measure_float_products, measure_integer_products
from emf.runtime.recognition.options import RecognizerOptions

_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class MachineRates:
    """What a machine reaches with a number of threads.

    Attributes:
        read_bytes_per_second: from memory, not from a cache.
        products_per_second: multiply-accumulates in the variant's arithmetic; `None` if it could not be measured.
    """

    read_bytes_per_second: float
    products_per_second: float | None

    @classmethod
    def measure(cls, variant: Variant, num_threads: int) -> "MachineRates":
        """Measure, in well under two seconds.

        Arithmetic is numpy's in float32 for a float variant. For any other it is INT8, the fastest that a variant may
        use, even where some of its graphs compute in float32: a floor may be too low, and never too high.
        """
        products = measure_float_products if variant.is_float else measure_integer_products
        return cls(measure_bandwidth(num_threads), products(num_threads))


@dataclass(frozen=True, slots=True)
class ChunkWork:
    """What a chunk cannot do without, whatever the implementation.

    - The encoder's and the joiner's weights are read once a chunk, however many streams share it.
    - The predictor's weights are read once, as in a chunk in which something is said; of the table of embeddings, one
      row a token, nothing is counted.
    - Each stream's encoder state is read once, and its new entries are written.
    - Each weight of the encoder is multiplied once for each frame behind the time reduction, right context included;
      the joiner's for every frame and hypothesis; the predictor's once.

    Attention's products, activations, features and search count nothing. Bytes are those of the variant's own files:
    for OpenVINO the `.bin` files, for ONNX Runtime the whole `.onnx`, of which all but a thousandth are weights.

    Attributes:
        weight_bytes: weights, read once for all streams.
        state_bytes: of each stream, read and written.
        products: multiply-accumulates of each stream; `None` if the artifact holds no float variant of the same
            backend, whose bytes tell how many weights there are.
    """

    weight_bytes: int
    state_bytes: int
    products: int | None

    @classmethod
    def of(cls, manifest: Manifest, variant: Variant, options: RecognizerOptions) -> "ChunkWork":
        """Read it from the manifest; without a float variant the predictor counts nothing."""
        graphs, sizes = manifest.variant(variant), manifest.geometry
        encoder, predictor, joiner = (_weight_bytes(graphs[name]) for name in ("encoder", "predictor", "joiner"))
        state = state_bytes(graphs["encoder"])
        if variant.float_variant not in manifest.variants:
            return cls(encoder + joiner, state, None)
        floats = manifest.variant(variant.float_variant)
        weights = {name: _weight_bytes(graph) // _FLOAT_BYTES for name, graph in floats.items()}
        table = _embedding_weights(manifest, floats["predictor"], weights["predictor"])
        used = weights["predictor"] - table
        rows = sizes.step_length // sizes.subsampling_factor
        joined = sizes.frames_per_step * _least_hypotheses(options)
        return cls(
            encoder + joiner + predictor * used // weights["predictor"],
            state,
            rows * weights["encoder"] + joined * weights["joiner"] + used,
        )

    def floor(self, rates: MachineRates, streams: int = 1) -> "Floor":
        """The least time of a chunk and stream where so many streams share the weights."""
        read = self.weight_bytes / streams + self.state_bytes
        arithmetic = None
        if self.products is not None and rates.products_per_second:
            arithmetic = 1e3 * self.products / rates.products_per_second
        return Floor(1e3 * read / rates.read_bytes_per_second, arithmetic)


@dataclass(frozen=True, slots=True)
class Floor:
    """The least time of a chunk and stream in milliseconds; memory and arithmetic may work at the same time.

    Attributes:
        memory_ms: to read and write what must be.
        arithmetic_ms: to multiply what must be; `None` if not known.
    """

    memory_ms: float
    arithmetic_ms: float | None

    @property
    def floor_ms(self) -> float:
        """The longer of both."""
        return max(self.memory_ms, self.arithmetic_ms or 0.0)


def state_bytes(graph: GraphSpec) -> int:
    """Bytes of the states that one stream's step reads and writes."""
    tensors = {tensor.name: tensor for tensor in (*graph.inputs, *graph.outputs)}
    names = {name for state in graph.states for name in (state.input, state.output)}
    return sum(_bytes(tensors[name]) for name in names)


def _bytes(tensor: TensorSpec) -> int:
    return math.prod(size or 1 for size in tensor.shape) * np.dtype(tensor.dtype).itemsize


def _weight_bytes(graph: GraphSpec) -> int:
    """Size of the files that hold weights: all, or those behind the first, which then describes the graph alone."""
    return sum(file.bytes for file in graph.files[1:]) or graph.bytes


def _embedding_weights(manifest: Manifest, predictor: GraphSpec, weights: int) -> int:
    """Weights of the predictor's table of embeddings, `num_symbols` rows of a size that the manifest does not state.

    The size follows from the number of all weights: the first LSTM layer has 4 x hidden weights for each element of an
    embedding, every other product has the sizes of the LSTM's state and of the prediction.
    """
    (state,) = (tensor for tensor in predictor.inputs if tensor.name == predictor.states[0].input)
    layers, _, hidden = (size or 1 for size in state.shape[1:])
    rest = 4 * hidden**2 * (2 * layers - 1) + hidden * manifest.geometry.encoding_dim
    symbols = manifest.geometry.num_symbols
    return symbols * max(weights - rest, 0) // (symbols + 4 * hidden)


def _least_hypotheses(options: RecognizerOptions) -> int:
    """How many hypotheses the joiner sees at every frame at least: a threshold or greedy search may leave one."""
    whole = options.decoding_method != "greedy" and math.isinf(options.beam_threshold)
    return options.beam_width if whole else 1
