"""One streaming step of the Emformer encoder with explicit state."""

from typing import Any

import torch
from torch import Tensor, nn

from emf.export.graphs.attention import StreamingAttention
from emf.export.graphs.states import EncoderStates, Past
from emf.runtime.artifact.manifest import Geometry


class EncoderGraph(nn.Module):
    """One streaming step of the encoder with explicit state.

    Streams and frames are one axis wherever a layer treats each frame alone: backends multiply matrices faster than
    stacks of them.

    Inputs: `features` (n, segment + right context, input_dim), and the tensors of `EncoderStates`.
    Outputs: `encoding` (n, frames, encoding_dim) and `new_` of every state; the rings' hold only
    the new entries. The cache may be kept in float16, half the bytes of a stream's state; arithmetic is
    float32 all the same.
    Source: `torchaudio.models.rnnt._EmformerEncoder.infer`, `torchaudio.models.Emformer.infer`.
    """

    def __init__(self, transcriber: Any, geometry: Geometry, cache_dtype: torch.dtype = torch.float32) -> None:
        """Take over the modules of an `RNNT.transcriber`."""
        super().__init__()
        self.geometry = geometry
        self.states = EncoderStates(transcriber, geometry, cache_dtype)
        self.input_linear = transcriber.input_linear
        self.layers = transcriber.transformer.emformer_layers
        self.attentions = nn.ModuleList(StreamingAttention(layer.attention) for layer in self.layers)
        self.output_linear: nn.Linear = transcriber.output_linear
        self.layer_norm = transcriber.layer_norm

    def forward(self, features: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Run one step; see the class for the tensors."""
        past, geometry = self.states.read(states), self.geometry
        stride, frames = geometry.subsampling_factor, geometry.frames_per_step
        length = geometry.step_length // stride
        x = self.input_linear(features[:, : length * stride])
        x = x.reshape(features.shape[0], length, stride * x.shape[2])
        bias, memory_bias = self._biases(past, length)
        new_caches: list[tuple[Tensor, Tensor]] = []
        new_memories: list[Tensor] = []
        memory_in = x[:, :frames].mean(dim=1, keepdim=True)
        for index in range(len(self.layers)):
            memory = past.memories[index] if past.memories else None
            cache = past.caches[index] if past.caches else None
            new_memories.append(memory_in)
            x, new_cache, memory_in = self._layer(index, x, cache, bias, memory, memory_bias)
            new_caches.append(new_cache)
        segment = x[:, :frames]
        encoding = self.layer_norm(self.output_linear(segment.flatten(0, 1))).view(*segment.shape[:2], -1)
        new_length = None if past.length is None else past.length + frames
        return (encoding, *self.states.write(Past(new_length, new_caches, new_memories)))

    def _biases(self, past: Past, length: int) -> tuple[Tensor | None, Tensor | None]:
        """What hides the entries that are not filled yet: without memory among the keys, and with it behind them."""
        if past.length is None:
            return None, None
        geometry, bias = self.geometry, None
        if past.caches:
            bias = nn.functional.pad(_mask(past.length, geometry.left_context_length), (0, length))
        if not past.memories:
            return bias, None
        segments = past.length.div(geometry.frames_per_step, rounding_mode="trunc")
        hidden = _mask(segments, geometry.max_memory_size)
        return bias, nn.functional.pad(hidden, (length, 0)) if bias is None else torch.cat([bias, hidden], dim=3)

    def _layer(
        self,
        index: int,
        x: Tensor,
        cache: tuple[Tensor, Tensor] | None,
        bias: Tensor | None,
        memory: Tensor | None,
        memory_bias: Tensor | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
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
        keys, values = key[:, :, :length], value[:, :, :length]
        if cache is not None:
            keys, values = torch.cat([cache[0], keys], dim=2), torch.cat([cache[1], values], dim=2)
        output = None
        if memory is not None:
            # The summary, which becomes the next layer's memory, attends to everything but memory.
            output = attention.attend(query[:, :, length : length + 1], keys, values, bias)
            keys = torch.cat([keys, key[:, :, length + 1 :]], dim=2)
            values = torch.cat([values, value[:, :, length + 1 :]], dim=2)
            bias = memory_bias
        # Added to rows, not to streams and frames, OpenVINO 2026.4 crashes as it compiles some sizes of this graph.
        x = attention.attend(query[:, :, :length], keys, values, bias).view(x.shape) + x
        x = layer.layer_norm_output(layer.pos_ff(x.flatten(0, 1)).view(x.shape) + x)
        kept = max(frames - self.geometry.left_context_length, 0)
        new_cache = key[:, :, kept:frames], value[:, :, kept:frames]
        if output is None:
            return x, new_cache, x[:, :1]
        new_memory = torch.tanh(output) if attention.tanh_on_mem else torch.clamp(output, min=-10, max=10)
        return x, new_cache, new_memory.unsqueeze(1)

    def example_inputs(self, batch: int = 2) -> dict[str, Tensor]:
        """Inputs with the right shapes."""
        features = torch.randn(batch, self.geometry.step_length, self.geometry.input_dim)
        return {"features": features, **{tensor.name: tensor.zeros(batch) for tensor in self.states.tensors}}


def _mask(valid: Tensor, size: int) -> Tensor:
    """Bias (n, 1, 1, size) that hides the entries of a cache not yet filled; -1e8 as in torchaudio."""
    hidden = torch.arange(size).unsqueeze(0) >= valid.unsqueeze(1)
    return (hidden.to(torch.float32) * -1e8).unsqueeze(1).unsqueeze(1)
