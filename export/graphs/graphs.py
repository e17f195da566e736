"""The model as three graphs of flat tensors: what is exported, and the specs that describe it.

Each graph is built from the modules of a torchaudio `RNNT` and computes what
`RNNT.transcribe_streaming`, `RNNT.predict` and `RNNT.join` compute for one step. The batch is
axis 0 of every tensor; all time axes are static.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from emf.export.graphs.encoder import EncoderGraph
from emf.runtime.artifact.manifest import Geometry, StateSpec, TensorSpec

JOINER_TOP_K = 16
_DTYPES = {torch.float32: "float32", torch.float16: "float16", torch.int64: "int64"}


@dataclass(frozen=True)
class Graph:
    """A module ready to export: its example inputs by name, its outputs' names, its states."""

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    output_names: tuple[str, ...]
    states: tuple[StateSpec, ...]

    def input_specs(self) -> tuple[TensorSpec, ...]:
        """Specs of the inputs, the batch left open."""
        return tuple(_spec(name, tensor) for name, tensor in self.inputs.items())

    def output_specs(self) -> tuple[TensorSpec, ...]:
        """Specs of the outputs, found by running the module once."""
        with torch.inference_mode():
            outputs = self.module(*self.inputs.values())
        tensors = outputs if isinstance(outputs, tuple) else (outputs,)
        return tuple(_spec(name, tensor) for name, tensor in zip(self.output_names, tensors, strict=True))


def _spec(name: str, tensor: Tensor) -> TensorSpec:
    return TensorSpec(name, _DTYPES[tensor.dtype], (None, *tensor.shape[1:]))


class PredictorGraph(nn.Module):
    """One token of the predictor with explicit LSTM state.

    Inputs: `token` (n,), `lstm_state` (n, layers, 2, hidden), h and c. Outputs: `prediction`
    (n, encoding_dim), `new_lstm_state`. Source: `torchaudio.models.rnnt._Predictor`, `_CustomLSTM`.
    """

    def __init__(self, predictor: Any) -> None:
        """Take over the modules of an `RNNT.predictor`."""
        super().__init__()
        self.predictor = predictor

    def forward(self, token: Tensor, lstm_state: Tensor) -> tuple[Tensor, Tensor]:
        """Run one token; see the class for the tensors."""
        x = self.predictor.input_layer_norm(self.predictor.embedding(token))
        states = []
        for index, lstm in enumerate(self.predictor.lstm_layers):
            gates = lstm.g_norm(lstm.x2g(x) + lstm.p2g(lstm_state[:, index, 0]))
            input_gate, forget_gate, cell_gate, output_gate = gates.chunk(4, 1)
            c = torch.sigmoid(forget_gate) * lstm_state[:, index, 1] + torch.sigmoid(input_gate) * torch.tanh(cell_gate)
            c = lstm.c_norm(c)
            x = torch.sigmoid(output_gate) * torch.tanh(c)
            states.append(torch.stack([x, c], dim=1))
        return self.predictor.output_layer_norm(self.predictor.linear(x)), torch.stack(states, dim=1)

    def example_inputs(self, batch: int = 2) -> dict[str, Tensor]:
        """Inputs with the right shapes."""
        lstms = self.predictor.lstm_layers
        state = torch.zeros(batch, len(lstms), 2, lstms[0].hidden_dim)
        return {"token": torch.zeros(batch, dtype=torch.int64), "lstm_state": state}


def packed_lstm_state(layers: Sequence[Sequence[Tensor]]) -> Tensor:
    """torchaudio's LSTM state, h and c of shape (n, hidden) of each layer, as `PredictorGraph` takes it."""
    return torch.stack([torch.stack(tuple(layer), dim=1) for layer in layers], dim=1)


class JoinerGraph(nn.Module):
    """Log-probabilities of the next symbol.

    Inputs: `encoding` (n, encoding_dim), `prediction` (n, encoding_dim), `temperature` (n,).
    Outputs: `blank_log_prob` (n,), `top_log_probs` and `top_ids` (n, k) of the best symbols other
    than the blank; `logits` (n, num_symbols - 1) of all those and `log_normalizer` (n,), whose log-probabilities
    are `logits / temperature - log_normalizer`. Of a hypothesis only its beam_width best symbols can survive, so
    the top k are all that search needs up to a beam of k. The logits of thousands of symbols are passed over as
    seldom as possible: what is done with them takes longer than quantized arithmetic takes to make them.
    Source: `torchaudio.models.rnnt._Joiner`, `RNNTBeamSearch._gen_next_token_probs`.
    """

    def __init__(self, joiner: Any, num_symbols: int) -> None:
        """Take over the modules of an `RNNT.joiner`; the blank is the last symbol."""
        super().__init__()
        self.activation = joiner.activation
        weight, bias = joiner.linear.weight, joiner.linear.bias
        self.symbols, self.blank = _linear(weight[:-1], bias[:-1]), _linear(weight[-1:], bias[-1:])
        self.top_k = min(JOINER_TOP_K, num_symbols - 1)

    def forward(self, encoding: Tensor, prediction: Tensor, temperature: Tensor) -> tuple[Tensor, ...]:
        """Run n hypotheses; see the class for the tensors."""
        hidden, temperature = self.activation(encoding + prediction), temperature.unsqueeze(1)
        logits, blank = self.symbols(hidden), self.blank(hidden)
        top, top_ids = torch.topk(logits, self.top_k, dim=1)
        peak = torch.maximum(top[:, :1], blank)
        others = torch.exp((logits - peak) / temperature).sum(dim=1, keepdim=True)
        normalizer = torch.log(others + torch.exp((blank - peak) / temperature)) + peak / temperature
        log_probs, blank_log_prob = top / temperature - normalizer, blank / temperature - normalizer
        return blank_log_prob.squeeze(1), log_probs, top_ids, logits, normalizer.squeeze(1)

    def example_inputs(self, batch: int = 2) -> dict[str, Tensor]:
        """Inputs with the right shapes."""
        dim = self.symbols.in_features
        return {
            "encoding": torch.randn(batch, dim),
            "prediction": torch.randn(batch, dim),
            "temperature": torch.ones(batch),
        }


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight, linear.bias = nn.Parameter(weight), nn.Parameter(bias)
    return linear


def make_graphs(model: Any, geometry: Geometry, cache_dtype: torch.dtype = torch.float32) -> tuple[Graph, Graph, Graph]:
    """The three graphs of a torchaudio `RNNT`, the encoder's keys and values kept as `cache_dtype`."""
    encoder = EncoderGraph(model.transcriber, geometry, cache_dtype).eval()
    predictor = PredictorGraph(model.predictor).eval()
    joiner = JoinerGraph(model.joiner, geometry.num_symbols).eval()
    updates = {"past_length": ("replace", 0), "attention_cache": ("ring", 2), "memory": ("ring", 2)}
    encoder_states = tuple(StateSpec(name, f"new_{name}", *updates[name]) for name in encoder.state_names())
    encoder_outputs = ("encoding", *(state.output for state in encoder_states))
    lstm_state = StateSpec("lstm_state", "new_lstm_state")
    return (
        Graph("encoder", encoder, encoder.example_inputs(), encoder_outputs, encoder_states),
        Graph("predictor", predictor, predictor.example_inputs(), ("prediction", lstm_state.output), (lstm_state,)),
        Graph(
            "joiner",
            joiner,
            joiner.example_inputs(),
            ("blank_log_prob", "top_log_probs", "top_ids", "logits", "log_normalizer"),
            (),
        ),
    )
