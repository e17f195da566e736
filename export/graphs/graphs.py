"""The model as three graphs of flat tensors: what is exported, and the specs that describe it.

Each graph is built from the modules of a torchaudio `RNNT` and computes what
`RNNT.transcribe_streaming`, `RNNT.predict` and `RNNT.join` compute for one step. All time axes are static, but for the
encoder's if it also takes several segments in one pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from emf.export.graphs.encoder import EncoderGraph
from emf.export.graphs.joiner import JOINER_OUTPUTS, JoinerGraph
from emf.export.graphs.latent_attention import Latent
from emf.export.graphs.predictor import LSTM_STATE, PredictorGraph
from emf.runtime.artifact.manifest import Geometry, StateSpec, TensorSpec

_DTYPES = {torch.float32: "float32", torch.float16: "float16", torch.int8: "int8", torch.int64: "int64"}


@dataclass(frozen=True)
class Graph:
    """A module ready to export.

    Attributes:
        name: of the graph.
        module: what it computes.
        inputs: example inputs by name, in the order of the module's arguments.
        output_names: in the order of the module's outputs.
        states: which outputs of a step become inputs of the next.
        batch_axes: axis of the batch of the tensors whose batch is not axis 0.
        wide_inputs: example inputs of a pass over several segments; empty if there is none. An axis that is longer
            than in `inputs` is open, in multiples of its length there.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    output_names: tuple[str, ...]
    states: tuple[StateSpec, ...] = ()
    batch_axes: Mapping[str, int] = field(default_factory=dict)
    wide_inputs: Mapping[str, Tensor] = field(default_factory=dict)

    def batch_axis(self, name: str) -> int:
        """Axis of the batch of an input or output."""
        return self.batch_axes.get(name, 0)

    def specs(self, inputs: Mapping[str, Tensor]) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Specs of inputs like these, the batch left open, and of what the module makes of them."""
        with torch.inference_mode():
            outputs = self.module(*inputs.values())
        tensors = outputs if isinstance(outputs, tuple) else (outputs,)
        named = dict(zip(self.output_names, tensors, strict=True))
        given, made = (tuple(self._spec(*item) for item in tensors.items()) for tensors in (inputs, named))
        return given, made

    def _spec(self, name: str, tensor: Tensor) -> TensorSpec:
        shape: list[int | None] = list(tensor.shape)
        shape[self.batch_axis(name)] = None
        return TensorSpec(name, _DTYPES[tensor.dtype], tuple(shape))


def make_graphs(
    model: Any,
    geometry: Geometry,
    cache: str = "float32",
    segments: int = 1,
    latents: Sequence[Latent] = (),
) -> tuple[Graph, Graph, Graph]:
    """The three graphs of a torchaudio `RNNT`.

    Args:
        model: the `RNNT`.
        geometry: its sizes.
        cache: format of what the encoder keeps of earlier frames, a key of `CACHE_DTYPES`.
        segments: segments of a stream that the encoder also takes in one pass.
        latents: of each layer, if the encoder keeps these instead of keys and values.
    """
    encoder = EncoderGraph(model.transcriber, geometry, cache, latents).eval()
    predictor = PredictorGraph(model.predictor).eval()
    joiner = JoinerGraph(model.joiner, geometry.num_symbols).eval()
    states = encoder.states.tensors
    return (
        Graph(
            "encoder",
            encoder,
            encoder.example_inputs(),
            ("encoding", *(state.new_name for state in states)),
            tuple(state.spec for state in states),
            {name: state.batch_axis for state in states for name in (state.name, state.new_name)},
            encoder.example_inputs(segments=segments) if segments > 1 else {},
        ),
        Graph("predictor", predictor, predictor.example_inputs(), ("prediction", LSTM_STATE.output), (LSTM_STATE,)),
        Graph("joiner", joiner, joiner.example_inputs(), JOINER_OUTPUTS),
    )
