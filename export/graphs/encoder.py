"""The Emformer encoder with explicit state: one segment of a stream in a pass, or several."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from emf.export.graphs.attention import StreamingAttention
from emf.export.graphs.cache_format import CachedFrames, Rows
from emf.export.graphs.latent_attention import Latent, LatentAttention
from emf.export.graphs.masks import Masks, segment_masks
from emf.export.graphs.states import EncoderStates, LatentStates
from emf.runtime.artifact.manifest import Geometry


class EncoderGraph(nn.Module):
    """One pass of the encoder over one or several segments of each stream, with explicit state.

    Emformer's parallel form (its training) and its step-by-step form are the same function: with a copy of the right
    context for every segment and a mask, a pass over N segments gives what N steps give. Rows are the frames of all
    segments, then the right contexts of all segments. Streams and rows are one axis wherever a layer treats each row
    alone: backends multiply matrices faster than stacks of them.

    Inputs: `features` (n, N * (segment + right context), input_dim), the windows of N steps one after another, and
    the tensors of `EncoderStates`.
    Outputs: `encoding` (n, N * frames, encoding_dim) and `new_` of every state; the rings' hold only the new entries,
    of a pass perhaps more than the ring: then the last ones count. The cache may be kept in float16 or int8 (see
    `CacheFormat`); arithmetic is float32 all the same. Then a segment's own frames are attended to as they will be
    kept, so that a pass gives what steps give; right contexts and memories, whose keys are not kept, stay exact.
    Source: `torchaudio.models.rnnt._EmformerEncoder.infer`, `torchaudio.models.Emformer.infer` and `forward`.
    """

    def __init__(
        self, transcriber: Any, geometry: Geometry, cache: str = "float32", latents: Sequence[Latent] = ()
    ) -> None:
        """Take over the modules of an `RNNT.transcriber`.

        Args:
            transcriber: torchaudio's.
            geometry: its sizes.
            cache: name of the format of what is cached, keys and values or latents.
            latents: of each layer, if these are cached.
        """
        super().__init__()
        self.geometry = geometry
        if latents:
            self.states: EncoderStates = LatentStates(transcriber, geometry, cache, latents)
        else:
            self.states = EncoderStates(transcriber, geometry, cache)
        self.input_linear = transcriber.input_linear
        self.layers = transcriber.transformer.emformer_layers
        layers: list[Any] = list(self.layers)
        if latents:
            pairs = zip(layers, latents, strict=True)
            self.attentions = nn.ModuleList(LatentAttention(layer.attention, latent, cache) for layer, latent in pairs)
        else:
            self.attentions = nn.ModuleList(StreamingAttention(layer.attention, cache) for layer in layers)
        self.output_linear: nn.Linear = transcriber.output_linear
        self.layer_norm = transcriber.layer_norm

    def forward(self, features: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Run one pass; see the class for the tensors."""
        past, frames = self.states.read(states), self.geometry.frames_per_step
        segments = features.shape[1] // self.geometry.step_length
        x = self._rows(features)
        masks = segment_masks(self.geometry, segments, past.length)
        new_caches: list[Rows] = []
        new_memories: list[Tensor] = []
        memory = self._means(x, segments) if past.memories else x
        for index in range(len(self.layers)):
            cached = past.caches[index] if past.caches else None
            memories = (past.memories[index], memory) if past.memories else None
            new_memories.append(memory)
            x, new_cache, memory = self._layer(index, x, segments, cached, memories, masks)
            new_caches.append(new_cache)
        segment = x[:, : segments * frames]
        encoding = self.layer_norm(self.output_linear(segment.flatten(0, 1))).view(*segment.shape[:2], -1)
        new_length = None if past.length is None else past.length + segments * frames
        return (encoding, *self.states.write(new_length, new_caches, new_memories))

    def _rows(self, features: Tensor) -> Tensor:
        """The windows of a pass as the layers' rows."""
        geometry, batch = self.geometry, features.shape[0]
        stride, frames = geometry.subsampling_factor, geometry.frames_per_step
        length = geometry.step_length // stride
        windows = features.reshape(-1, geometry.step_length, features.shape[2])
        x = self.input_linear(windows[:, : length * stride])
        x = x.reshape(-1, length, stride * x.shape[2])
        dim = x.shape[2]
        rows = x[:, :frames].reshape(batch, -1, dim)
        return torch.cat([rows, x[:, frames:].reshape(batch, -1, dim)], dim=1) if length > frames else rows

    def _means(self, x: Tensor, segments: int) -> Tensor:
        """The mean of each segment's frames, (n, N, d)."""
        frames = self.geometry.frames_per_step
        return x[:, : segments * frames].reshape(x.shape[0], -1, frames, x.shape[2]).mean(dim=2)

    def _layer(
        self,
        index: int,
        x: Tensor,
        segments: int,
        cached: CachedFrames | None,
        memories: tuple[Tensor, Tensor] | None,
        masks: Masks,
    ) -> tuple[Tensor, Rows, Tensor]:
        """One Emformer layer: output rows, what is new for the cache as it is kept, new memory vectors."""
        layer: Any = self.layers[index]
        attention: Any = self.attentions[index]
        frames, length = self.geometry.frames_per_step, x.shape[1]
        normed = layer.layer_norm_input(x)
        rows = normed
        if memories is not None:
            rows = torch.cat([normed, self._means(normed, segments), *memories], dim=1)
        query, made = attention.heads(rows)
        end = segments * frames
        # What is not rounded is kept in one piece with what is not kept.
        own = end if attention.cache.rounds else length
        kept = attention.cache.kept(made.multiples[:, :, :own])
        entries = attention.cache.entries(cached, kept, made.between(0, length))
        output = x
        if memories is not None:
            # The summaries, which become the next layer's memories, attend to everything but memory.
            summaries, rest = query[:, :, length : length + segments], made.between(length + segments, None)
            output = attention.attend(summaries, entries, masks.of_summaries).view(x.shape[0], -1, x.shape[2])
            entries = entries.followed_by(attention.cache.exact_entries(rest))
        # Added to rows, not to streams and frames, OpenVINO 2026.4 crashes as it compiles some sizes of this graph.
        x = attention.attend(query[:, :, :length], entries, masks.of_rows).view(x.shape) + x
        x = layer.layer_norm_output(layer.pos_ff(x.flatten(0, 1)).view(x.shape) + x)
        left = self.geometry.left_context_length
        new_cache = Rows(kept, made.units).between(end - left if frames > left else 0, end)
        if memories is None:
            return x, new_cache, x
        return x, new_cache, torch.tanh(output) if attention.tanh_on_mem else torch.clamp(output, min=-10, max=10)

    def example_inputs(self, batch: int = 2, segments: int = 1) -> dict[str, Tensor]:
        """Inputs with the right shapes."""
        features = torch.randn(batch, segments * self.geometry.step_length, self.geometry.input_dim)
        return {"features": features, **self.states.example_inputs(batch)}
