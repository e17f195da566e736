"""One streaming step of the Emformer encoder with explicit state."""

from typing import Any

import torch
from torch import Tensor, nn

from emf.runtime.artifact.manifest import Geometry


class _Attention(nn.Module):
    """Attention of one Emformer layer over memory, cached left context, segment and right context.

    Source: `torchaudio.models.emformer._EmformerAttention.infer`. Query, key and value come from one
    projection, the scaling folded into the query's part. Emformer has no positional encoding, so
    the order of keys does not matter: cached frames stand in a ring, new ones behind them.
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
        projected = self.projection(x.flatten(0, 1)).view(batch, length, 3, self.num_heads, dim // self.num_heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        """Softmax over all keys, `bias` added to their scores, then the output projection; (n * t, d)."""
        scores = torch.matmul(query, key.transpose(2, 3))
        probs = torch.softmax(scores if bias is None else scores + bias, dim=3)
        context = torch.matmul(probs, value)
        result: Tensor = self.out_proj(context.transpose(1, 2).flatten(2).flatten(0, 1))
        return result


class EncoderGraph(nn.Module):
    """One streaming step of the encoder with explicit state.

    Streams and frames are one axis wherever a layer treats each frame alone: engines multiply matrices faster than
    stacks of them.

    Inputs: `features` (n, segment + right context, input_dim); `past_length` (n,), encoder frames
    seen so far; `attention_cache` (n, layers * 2 * heads, left context, head_dim), a ring of keys
    and values; `memory` (n, layers, memory size, d), a ring of memory vectors. The last two exist
    where the model has left context or memory.
    Outputs: `encoding` (n, frames, encoding_dim) and `new_` of every state; the rings' hold only
    the new entries. The cache may be kept in float16, half the bytes of a stream's state; arithmetic is
    float32 all the same.
    Source: `torchaudio.models.rnnt._EmformerEncoder.infer`, `torchaudio.models.Emformer.infer`.
    """

    def __init__(self, transcriber: Any, geometry: Geometry, cache_dtype: torch.dtype = torch.float32) -> None:
        """Take over the modules of an `RNNT.transcriber`."""
        super().__init__()
        self.geometry = geometry
        self.cache_dtype = cache_dtype
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
        bias = memory_bias = None
        caches: list[Tensor] = []
        if self.has_cache:
            bias = nn.functional.pad(_mask(given["past_length"], geometry.left_context_length), (0, length))
            parts = torch.split(given["attention_cache"], self.num_heads, dim=1)
            caches = [part.to(torch.float32) for part in parts]
        if self.has_memory:
            segments = given["past_length"].div(geometry.frames_per_step, rounding_mode="trunc")
            hidden = _mask(segments, geometry.max_memory_size)
            memory_bias = nn.functional.pad(hidden, (length, 0)) if bias is None else torch.cat([bias, hidden], dim=3)
        new_caches: list[Tensor] = []
        new_memories: list[Tensor] = []
        memory_in = x[:, : geometry.frames_per_step].mean(dim=1, keepdim=True)
        for index in range(len(self.layers)):
            memory = given["memory"][:, index] if self.has_memory else None
            cache = caches[2 * index : 2 * index + 2]
            new_memories.append(memory_in)
            x, key, value, memory_in = self._layer(index, x, cache, bias, memory, memory_bias)
            new_caches += [key, value]
        segment = x[:, : geometry.frames_per_step]
        encoding = self.layer_norm(self.output_linear(segment.flatten(0, 1))).view(*segment.shape[:2], -1)
        outputs = [encoding]
        if states:
            outputs.append(given["past_length"] + geometry.frames_per_step)
        if self.has_cache:
            outputs.append(torch.cat(new_caches, dim=1).to(self.cache_dtype))
        if self.has_memory:
            outputs.append(torch.stack(new_memories, dim=1))
        return tuple(outputs)

    def _layer(
        self,
        index: int,
        x: Tensor,
        cache: list[Tensor],
        bias: Tensor | None,
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
        keys, values = key[:, :, :length], value[:, :, :length]
        if cache:
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
        new_key, new_value = key[:, :, kept:frames], value[:, :, kept:frames]
        if output is None:
            return x, new_key, new_value, x[:, :1]
        new_memory = torch.tanh(output) if attention.tanh_on_mem else torch.clamp(output, min=-10, max=10)
        return x, new_key, new_value, new_memory.unsqueeze(1)

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
        dtypes = {"past_length": torch.int64, "attention_cache": self.cache_dtype, "memory": torch.float32}
        for name in self.state_names():
            inputs[name] = torch.zeros(batch, *shapes.get(name, ()), dtype=dtypes[name])
        return inputs


def _mask(valid: Tensor, size: int) -> Tensor:
    """Bias (n, 1, 1, size) that hides the entries of a cache not yet filled; -1e8 as in torchaudio."""
    hidden = torch.arange(size).unsqueeze(0) >= valid.unsqueeze(1)
    return (hidden.to(torch.float32) * -1e8).unsqueeze(1).unsqueeze(1)
