"""The encoder's state: the one place that states its tensors, and how the model's parts read and write them.

Everything else, the runtime included, reads names, shapes, types and updates from the manifest. Another layout is
another `EncoderStates`.

Rings are read by row: the graph takes those of any number of streams, and the rows of the streams that it decodes.
Nobody lays the streams of a batch side by side, and each layer copies its part as it needs it, into memory that is
still in the processor's cache.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from emf.export.graphs.cache_format import CachedFrames, CacheFormat, Rows
from emf.export.graphs.latent_attention import Latent
from emf.runtime.arrays import Array, FloatArray
from emf.runtime.artifact.manifest import Geometry, GraphSpec, StateSpec
from emf.runtime.errors import ArtifactError

STREAM_ROWS = "stream_rows"
"""Name of the graph's input with the row of each stream, (n,)."""

CACHE = "attention_cache"
"""Name of the graph's input with cached keys and values."""

CACHE_UNITS = "attention_cache_units"
"""Name of the graph's input with the units that they are multiples of."""


@dataclass(frozen=True, slots=True)
class StateTensor:
    """One tensor of a state.

    Attributes:
        name: of the graph's input; its output is called `new_` and this.
        shape: `None` is the batch.
        dtype: element type.
        update: `replace` or `ring`, see `StateSpec`.
        axis: of the ring.
        by_row: whether the batch axis holds rows of which the graph reads those that `STREAM_ROWS` names.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: torch.dtype = torch.float32
    update: str = "replace"
    axis: int = 0
    by_row: bool = False

    @property
    def new_name(self) -> str:
        """Name of the graph's output."""
        return f"new_{self.name}"

    @property
    def spec(self) -> StateSpec:
        """As the manifest describes it."""
        return StateSpec(self.name, self.new_name, self.update, self.axis, STREAM_ROWS if self.by_row else None)

    @property
    def batch_axis(self) -> int:
        """Axis of the batch."""
        return self.shape.index(None)

    def zeros(self, batch: int) -> Tensor:
        """Before the first step."""
        return torch.zeros([batch if size is None else size for size in self.shape], dtype=self.dtype)


class Past(NamedTuple):
    """A state as the encoder's layers use it.

    Attributes:
        length: encoder frames seen so far, (n,); `None` for a model without state.
        caches: of each layer as they are kept, keys and values with channels of head_dim, or latents of rank; empty for
            a model without left context.
        memories: of each layer, (n, memory size, d); empty for a model without memory.

    Caches and memories are rings: entry k of the stream stands at k modulo their size.
    """

    length: Tensor | None
    caches: list[CachedFrames]
    memories: list[Tensor]


class EncoderStates:
    """The state of an Emformer encoder as tensors of a graph.

    `past_length` (n,), encoder frames seen so far; `attention_cache` (rows, layers * 2 * heads, left context,
    head_dim), a ring of keys and values; in int8 `attention_cache_units` (rows, layers * 2, left context), a ring of
    the units of each frame's keys and values; `memory` (rows, layers, memory size, d), a ring of memory vectors. They
    exist if the model has left context or memory, and with them `stream_rows` (n,).

    Attributes:
        tensors: in the order of the graph's inputs.
        cache: the format of `attention_cache`.
    """

    _num_parts = 2

    def __init__(self, transcriber: Any, geometry: Geometry, cache: str = "float32") -> None:
        """Take sizes from an `RNNT.transcriber`; `cache` names the format of cached keys and values."""
        layers = transcriber.transformer.emformer_layers
        self._geometry, self._num_layers = geometry, len(layers)
        self._num_heads, self._dim = int(layers[0].attention.num_heads), int(layers[0].attention.input_dim)
        self.cache = CacheFormat(cache, self._num_parts)
        self.tensors = self._tensors()

    def _tensors(self) -> tuple[StateTensor, ...]:
        geometry, tensors = self._geometry, []
        if geometry.left_context_length:
            rows, head_dim = self._num_layers * 2 * self._num_heads, self._dim // self._num_heads
            shape = (None, rows, geometry.left_context_length, head_dim)
            tensors.append(StateTensor(CACHE, shape, self.cache.dtype, "ring", 2, by_row=True))
            if self.cache.scaled:
                units = (None, self._num_layers * self._num_parts, geometry.left_context_length)
                tensors.append(StateTensor(CACHE_UNITS, units, torch.float32, "ring", 2, by_row=True))
        if geometry.max_memory_size:
            shape = (None, self._num_layers, geometry.max_memory_size, self._dim)
            tensors.append(StateTensor("memory", shape, torch.float32, "ring", 2, by_row=True))
        return (StateTensor("past_length", (None,), torch.int64), *tensors) if tensors else ()

    def example_inputs(self, batch: int) -> dict[str, Tensor]:
        """What `read` takes, before the first step; where rings are read by row, there is a row more than streams."""
        inputs = {tensor.name: tensor.zeros(batch + tensor.by_row) for tensor in self.tensors}
        if any(tensor.by_row for tensor in self.tensors):
            inputs[STREAM_ROWS] = torch.arange(batch)
        return inputs

    def read(self, states: Sequence[Tensor]) -> Past:
        """The state as the layers use it, from the graph's inputs in the order of `example_inputs`."""
        if not states:
            return Past(None, [], [])
        length, *rings, rows = states
        given = dict(zip((tensor.name for tensor in self.tensors[1:]), rings, strict=True))
        parts = self._read_cache(given[CACHE], rows) if CACHE in given else []
        units: Sequence[Tensor | None] = [None] * len(parts)
        if CACHE_UNITS in given:
            units = given[CACHE_UNITS].index_select(0, rows).chunk(self._num_layers, dim=1)
        caches = list(map(CachedFrames, parts, units))
        return Past(length, caches, _parts(given["memory"], rows) if "memory" in given else [])

    def _read_cache(self, cache: Tensor, rows: Tensor) -> list[tuple[Tensor, ...]]:
        parts = _parts(cache.view(cache.shape[0], -1, self._num_heads, *cache.shape[2:]), rows)
        return list(zip(parts[::2], parts[1::2], strict=True))

    def write(self, length: Tensor | None, caches: list[Rows], memories: list[Tensor]) -> tuple[Tensor, ...]:
        """The graph's outputs, from what a pass adds.

        Args:
            length: encoder frames seen, now with those of the pass.
            caches: of each layer its keys and values, or latents, as they are kept.
            memories: of each layer its memory vectors, (n, N, d).
        """
        outputs = [] if length is None else [length]
        if self._geometry.left_context_length:
            outputs.append(self._write_cache([rows.multiples for rows in caches]))
            units = [rows.units for rows in caches if rows.units is not None]
            outputs += [torch.cat(units, dim=1)] if units else []
        if self._geometry.max_memory_size:
            outputs.append(torch.stack(memories, dim=1))
        return tuple(outputs)

    def _write_cache(self, caches: list[Tensor]) -> Tensor:
        return torch.cat(caches, dim=1)

    def values(self, kept: Mapping[str, Array]) -> dict[str, FloatArray]:
        """The values of rings and `past_length` of one stream, by name: those of `of_torchaudio`."""
        found = {name: torch.from_numpy(array).to(torch.float32) for name, array in kept.items()}
        units = found.pop(CACHE_UNITS, None)
        if units is not None:
            found[CACHE] = found[CACHE] * self._by_channel(units)
        return {name: tensor.numpy() for name, tensor in found.items()}

    def _by_channel(self, units: Tensor) -> Tensor:
        """Units of a stream as factors of its cache."""
        return units.repeat_interleave(self._num_heads, dim=1).unsqueeze(3)

    def by_layer(self, kept: Mapping[str, Array]) -> list[Tensor]:
        """The values of each layer of a stream, (frames, channels), from what is kept of the frames.

        Channels are those of `emb_to_key_value`: keys of all heads, then values.
        """
        cache = torch.from_numpy(self.values(kept)[CACHE])
        return [layer.permute(1, 0, 2).flatten(1) for layer in cache[0].chunk(self._num_layers)]

    def of_torchaudio(self, state: list[list[Tensor]]) -> dict[str, FloatArray]:
        """torchaudio's state of a batch of 1 in this layout, oldest entries first, float32.

        Entries not yet filled become zeros: torchaudio keeps copies of others there, and never reads them.
        """
        geometry, length = self._geometry, int(state[0][3].item())
        packed: dict[str, Tensor] = {}
        if geometry.left_context_length:
            unfilled = max(geometry.left_context_length - length, 0)
            packed[CACHE] = self._cache_of_torchaudio(state, unfilled)
        if geometry.max_memory_size:
            memory = torch.stack([layer[0][:, 0] for layer in state])[None]
            memory[:, :, : max(geometry.max_memory_size - math.ceil(length / geometry.frames_per_step), 0)] = 0.0
            packed["memory"] = memory
        if packed:
            packed["past_length"] = torch.tensor([length], dtype=torch.float32)
        return {name: tensor.numpy() for name, tensor in packed.items()}

    def _cache_of_torchaudio(self, state: list[list[Tensor]], unfilled: int) -> Tensor:
        caches = [cache[:, 0].reshape(len(cache), self._num_heads, -1) for layer in state for cache in layer[1:3]]
        cache = torch.stack(caches).permute(0, 2, 1, 3).flatten(0, 1)[None].contiguous()
        cache[:, :, :unfilled] = 0.0
        return cache


class LatentStates(EncoderStates):
    """The same with latents instead of keys and values: `attention_cache` (rows, left context, sum of the ranks).

    Ranks differ from layer to layer, so the layers' parts lie side by side in each entry. Where these are kept in int8,
    `attention_cache_units` is (rows, layers, left context).
    """

    _num_parts = 1

    def __init__(self, transcriber: Any, geometry: Geometry, cache: str, latents: Sequence[Latent]) -> None:
        """As `EncoderStates`, with the latents of each layer."""
        self._latents = tuple(latents)
        super().__init__(transcriber, geometry, cache)

    @property
    def _ranks(self) -> list[int]:
        return [latent.rank for latent in self._latents]

    def _tensors(self) -> tuple[StateTensor, ...]:
        shape = (None, self._geometry.left_context_length, sum(self._ranks))
        return tuple(
            replace(tensor, shape=shape, axis=1) if tensor.name == CACHE else tensor for tensor in super()._tensors()
        )

    def _read_cache(self, cache: Tensor, rows: Tensor) -> list[tuple[Tensor, ...]]:
        entries = cache.index_select(0, rows).unsqueeze(1)
        return [(part,) for part in torch.split(entries, self._ranks, dim=3)]

    def _write_cache(self, caches: list[Tensor]) -> Tensor:
        return torch.cat(caches, dim=3).squeeze(1)

    def _by_channel(self, units: Tensor) -> Tensor:
        return units.transpose(1, 2).repeat_interleave(torch.tensor(self._ranks), dim=2)

    def by_layer(self, kept: Mapping[str, Array]) -> list[Tensor]:
        """The latents of each layer, (frames, r)."""
        return list(torch.split(torch.from_numpy(self.values(kept)[CACHE])[0], self._ranks, dim=1))

    def _cache_of_torchaudio(self, state: list[list[Tensor]], unfilled: int) -> Tensor:
        stacked = [torch.cat([layer[1][:, 0], layer[2][:, 0]], dim=1) for layer in state]
        parts = [latent.of_keys_and_values(rows) for latent, rows in zip(self._latents, stacked, strict=True)]
        cache = torch.cat(parts, dim=1)[None]
        cache[:, :unfilled] = 0.0
        return cache


def cache_format(graph: GraphSpec) -> str:
    """Name of the format in which an encoder keeps its keys and values.

    Raises:
        ArtifactError: a format of earlier exports, whose units were constants of the graph.
    """
    dtypes = {tensor.name: tensor.dtype for tensor in graph.inputs}
    found = dtypes.get(CACHE, "float32")
    if found == "int8" and CACHE_UNITS not in dtypes:
        raise ArtifactError(
            f"expected units beside a cache in int8 ({CACHE_UNITS}), found none: an earlier emf-export wrote this "
            "artifact; it runs as before, but to compare it with its checkpoint, export the model again"
        )
    return found


def _parts(rings: Tensor, rows: Tensor) -> list[Tensor]:
    """Each part of these rows, from rings of shape (rows, parts, ...)."""
    count, flat = rings.shape[1], rings.flatten(0, 1)
    first = rows * count
    return [flat.index_select(0, first + part) for part in range(count)]
