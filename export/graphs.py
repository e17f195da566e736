"""The model as three graphs of flat tensors: what is exported, and the specs that describe it.

Each graph is built from the modules of a torchaudio `RNNT` and computes what
`RNNT.transcribe_streaming`, `RNNT.predict` and `RNNT.join` compute for one step. The batch is
axis 0 of every tensor; all time axes are static.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from emf.runtime.manifest import Geometry, StateSpec, TensorSpec

JOINER_TOP_K = 16
_DTYPES = {torch.float32: "float32", torch.int64: "int64"}


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


class _Attention(nn.Module):
    """Attention of one Emformer layer over memory, cached left context, segment and right context.

    Source: `torchaudio.models.emformer._EmformerAttention.infer`. Query, key and value come from one
    projection, the scaling folded into the query's part. Emformer has no positional encoding, so
    the order of keys does not matter: scores of cached and of new frames are computed apart and
    normalised together, which spares copying the cache.
    """

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.num_heads = int(attention.num_heads)
        self.tanh_on_mem = bool(attention.tanh_on_mem)
        scale = float(attention.scaling)
        query, key_value = attention.emb_to_query, attention.emb_to_key_value
        dim = int(attention.input_dim)
        self.projection = nn.Linear(dim, 3 * dim)
        self.projection.weight = nn.Parameter(torch.cat([query.weight * scale, key_value.weight]))
        self.projection.bias = nn.Parameter(torch.cat([query.bias * scale, key_value.bias]))
        self.out_proj = attention.out_proj

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value of x (n, t, d), each of shape (n, heads, t, d / heads)."""
        batch, length, dim = x.shape
        projected = self.projection(x).view(batch, length, 3, self.num_heads, dim // self.num_heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value

    def attend(self, query: Tensor, keys: list[Tensor], values: list[Tensor], biases: list[Tensor | None]) -> Tensor:
        """Softmax over all groups of keys together, then the output projection."""
        scores = []
        for key, bias in zip(keys, biases, strict=True):
            score = torch.matmul(query, key.transpose(2, 3))
            scores.append(score if bias is None else score + bias)
        probs = torch.softmax(torch.cat(scores, dim=3), dim=3) if len(scores) > 1 else torch.softmax(scores[0], dim=3)
        parts = torch.split(probs, [key.shape[2] for key in keys], dim=3) if len(keys) > 1 else (probs,)
        context = sum(torch.matmul(part, value) for part, value in zip(parts, values, strict=True))
        assert isinstance(context, Tensor)
        batch, _, length, _ = context.shape
        result: Tensor = self.out_proj(context.transpose(1, 2).reshape(batch, length, -1))
        return result


class EncoderGraph(nn.Module):
    """One streaming step of the encoder with explicit state.

    Inputs: `features` (n, segment + right context, input_dim); `past_length` (n,), encoder frames
    seen so far; `attention_cache` (n, layers * 2 * heads, left context, head_dim), a ring of keys
    and values; `memory` (n, layers, memory size, d), a ring of memory vectors. The last two exist
    where the model has left context or memory.
    Outputs: `encoding` (n, frames, encoding_dim) and `new_` of every state; the rings' hold only
    the new entries.
    Source: `torchaudio.models.rnnt._EmformerEncoder.infer`, `torchaudio.models.Emformer.infer`.
    """

    def __init__(self, transcriber: Any, geometry: Geometry) -> None:
        """Take over the modules of an `RNNT.transcriber`."""
        super().__init__()
        self.geometry = geometry
        self.input_linear = transcriber.input_linear
        self.layers = transcriber.transformer.emformer_layers
        self.attentions = nn.ModuleList(_Attention(layer.attention) for layer in self.layers)
        self.output_linear: nn.Linear = transcriber.output_linear
        self.layer_norm = transcriber.layer_norm
        self.num_heads = int(transcriber.transformer.emformer_layers[0].attention.num_heads)
        self.has_cache = geometry.left_context_length > 0
        self.has_memory = geometry.max_memory_size > 0

    def forward(self, features: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Run one step; see the class for the tensors."""
        given = dict(zip(self.state_names(), states, strict=True))
        geometry = self.geometry
        batch = features.shape[0]
        stride = geometry.subsampling_factor
        length = geometry.step_length // stride
        x = self.input_linear(features[:, : length * stride])
        x = x.reshape(batch, length, stride * x.shape[2])
        cache_bias = memory_bias = None
        caches: list[Tensor] = []
        if self.has_cache:
            cache_bias = _mask(given["past_length"], geometry.left_context_length)
            caches = list(torch.split(given["attention_cache"], self.num_heads, dim=1))
        if self.has_memory:
            segments = given["past_length"].div(geometry.frames_per_step, rounding_mode="trunc")
            memory_bias = _mask(segments, geometry.max_memory_size)
        new_caches: list[Tensor] = []
        new_memories: list[Tensor] = []
        memory_in = x[:, : geometry.frames_per_step].mean(dim=1, keepdim=True)
        for index in range(len(self.layers)):
            memory = given["memory"][:, index] if self.has_memory else None
            cache = caches[2 * index : 2 * index + 2]
            new_memories.append(memory_in)
            x, key, value, memory_in = self._layer(index, x, cache, cache_bias, memory, memory_bias)
            new_caches += [key, value]
        encoding = self.layer_norm(self.output_linear(x[:, : geometry.frames_per_step]))
        outputs = [encoding]
        if states:
            outputs.append(given["past_length"] + geometry.frames_per_step)
        if self.has_cache:
            outputs.append(torch.cat(new_caches, dim=1))
        if self.has_memory:
            outputs.append(torch.stack(new_memories, dim=1))
        return tuple(outputs)

    def _layer(
        self,
        index: int,
        x: Tensor,
        cache: list[Tensor],
        cache_bias: Tensor | None,
        memory: Tensor | None,
        memory_bias: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One Emformer layer: output frames, new keys and values for the cache, new memory vector."""
        layer: Any = self.layers[index]
        attention: Any = self.attentions[index]
        frames, length = self.geometry.frames_per_step, x.shape[1]
        normed = layer.layer_norm_input(x)
        rows = normed
        if memory is not None:
            summary = normed[:, :frames].mean(dim=1, keepdim=True)
            rows = torch.cat([normed, summary, memory], dim=1)
        query, key, value = attention.heads(rows)
        keys, values = [key[:, :, :length]], [value[:, :, :length]]
        biases: list[Tensor | None] = [None]
        if cache:
            keys, values, biases = [*keys, cache[0]], [*values, cache[1]], [*biases, cache_bias]
        output = None
        if memory is not None:
            # The summary, which becomes the next layer's memory, attends to everything but memory.
            output = attention.attend(query[:, :, length : length + 1], keys, values, biases)
            keys, values = [*keys, key[:, :, length + 1 :]], [*values, value[:, :, length + 1 :]]
            biases = [*biases, memory_bias]
        x = attention.attend(query[:, :, :length], keys, values, biases) + x
        x = layer.layer_norm_output(layer.pos_ff(x) + x)
        kept = max(frames - self.geometry.left_context_length, 0)
        new_key, new_value = key[:, :, kept:frames], value[:, :, kept:frames]
        if output is None:
            return x, new_key, new_value, x[:, :1]
        new_memory = torch.tanh(output) if attention.tanh_on_mem else torch.clamp(output, min=-10, max=10)
        return x, new_key, new_value, new_memory

    def state_names(self) -> tuple[str, ...]:
        """Names of the state inputs, in the order of `forward`."""
        names = ["attention_cache"] * self.has_cache + ["memory"] * self.has_memory
        return ("past_length", *names) if names else ()

    def example_inputs(self, batch: int = 2) -> dict[str, Tensor]:
        """Inputs with the right shapes."""
        geometry, layers = self.geometry, len(self.layers)
        dim = self.output_linear.in_features
        head_dim = dim // self.num_heads
        shapes = {
            "attention_cache": (layers * 2 * self.num_heads, geometry.left_context_length, head_dim),
            "memory": (layers, geometry.max_memory_size, dim),
        }
        inputs = {"features": torch.randn(batch, geometry.step_length, geometry.input_dim)}
        for name in self.state_names():
            dtype = torch.int64 if name == "past_length" else torch.float32
            inputs[name] = torch.zeros(batch, *shapes.get(name, ()), dtype=dtype)
        return inputs


def _mask(valid: Tensor, size: int) -> Tensor:
    """Bias (n, 1, 1, size) that hides the entries of a cache not yet filled; -1e8 as in torchaudio."""
    hidden = torch.arange(size).unsqueeze(0) >= valid.unsqueeze(1)
    return (hidden.to(torch.float32) * -1e8).unsqueeze(1).unsqueeze(1)


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


class JoinerGraph(nn.Module):
    """Log-probabilities of the next symbol.

    Inputs: `encoding` (n, encoding_dim), `prediction` (n, encoding_dim), `temperature` (n,).
    Outputs: `blank_log_prob` (n,), `top_log_probs` and `top_ids` (n, k) of the best symbols other
    than the blank, `log_probs` (n, num_symbols). Of a hypothesis only its beam_width best symbols
    can survive, so the top k are all that search needs up to a beam of k.
    Source: `torchaudio.models.rnnt._Joiner`, `RNNTBeamSearch._gen_next_token_probs`.
    """

    def __init__(self, joiner: Any, num_symbols: int) -> None:
        """Take over the modules of an `RNNT.joiner`; the blank is the last symbol."""
        super().__init__()
        self.joiner = joiner
        self.top_k = min(JOINER_TOP_K, num_symbols - 1)

    def forward(self, encoding: Tensor, prediction: Tensor, temperature: Tensor) -> tuple[Tensor, ...]:
        """Run n hypotheses; see the class for the tensors."""
        logits = self.joiner.linear(self.joiner.activation(encoding + prediction))
        log_probs = torch.log_softmax(logits / temperature.unsqueeze(1), dim=1)
        top, top_ids = torch.topk(log_probs[:, :-1], self.top_k, dim=1)
        return log_probs[:, -1], top, top_ids, log_probs

    def example_inputs(self, batch: int = 2) -> dict[str, Tensor]:
        """Inputs with the right shapes."""
        dim = self.joiner.linear.in_features
        return {
            "encoding": torch.randn(batch, dim),
            "prediction": torch.randn(batch, dim),
            "temperature": torch.ones(batch),
        }


def make_graphs(model: Any, geometry: Geometry) -> tuple[Graph, Graph, Graph]:
    """The three graphs of a torchaudio `RNNT`."""
    encoder = EncoderGraph(model.transcriber, geometry).eval()
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
            ("blank_log_prob", "top_log_probs", "top_ids", "log_probs"),
            (),
        ),
    )
