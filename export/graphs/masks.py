"""What the rows of each segment in a pass may see, as values that are added to attention's scores."""

from typing import NamedTuple

import torch
from torch import Tensor

from emf.runtime.artifact.manifest import Geometry

_HIDDEN = -1e8
"""As in torchaudio: after the softmax nothing is left of it."""


class Masks(NamedTuple):
    """Values to add to the scores of a pass, (n, 1, queries, keys).

    Keys are the cached frames, the pass's rows, the cached memories, and the memories of the pass's own segments.

    Attributes:
        of_rows: for the frames of all segments, then for their right contexts.
        of_summaries: for the mean of each segment, which sees no memory.
    """

    of_rows: Tensor
    of_summaries: Tensor


def segment_masks(geometry: Geometry, segments: int, past: Tensor | None) -> Masks:
    """The masks of a pass.

    A row of segment i sees the left context's frames before the segment, cached or of the pass; the frames of its
    own segment; its own right context; and the last memories before the segment, cached or of the pass.

    Args:
        geometry: of the model.
        segments: in the pass.
        past: frames that each stream has seen, (n,); `None` for a model without state.
    """
    frames, left, memory = geometry.frames_per_step, geometry.left_context_length, geometry.max_memory_size
    right = geometry.step_length // geometry.subsampling_factor - frames
    index = torch.arange(segments)
    row, column = index.unsqueeze(1), torch.arange(segments * frames)
    hidden = [(column < row * frames - left) | (column >= row * frames + frames)]
    of_row = [column.div(frames, rounding_mode="trunc")]
    if right:
        of_row.append(torch.arange(segments * right).div(right, rounding_mode="trunc"))
        hidden.append(of_row[1] != row)
    rows = torch.cat(of_row)
    own = torch.cat(hidden, dim=1).unsqueeze(0)
    if past is None:
        mask = _bias(own)
        return Masks(mask.index_select(2, rows), mask)
    own = own.expand(past.shape[0], -1, -1)
    if left:
        own = torch.cat([_hidden_in_ring(past, left, index * frames), own], dim=2)
    of_summaries = _bias(own)
    if memory:
        seen = past.div(frames, rounding_mode="trunc")
        new = ((index >= row) | (index < row - memory)).unsqueeze(0).expand(past.shape[0], -1, -1)
        own = torch.cat([own, _hidden_in_ring(seen, memory, index), new], dim=2)
    return Masks(_bias(own).index_select(2, rows), of_summaries)


def _hidden_in_ring(written: Tensor, capacity: int, before: Tensor) -> Tensor:
    """Entries of a ring, (n, N, capacity), that segment i does not see.

    Entry number k of a stream stands at k modulo the capacity; its age is 0 if it is the newest.

    Args:
        written: entries that each stream has written, (n,).
        capacity: of the ring.
        before: newer entries, of the pass itself, that segment i sees, (N,).
    """
    age = torch.remainder(written.unsqueeze(1) - 1 - torch.arange(capacity), capacity)
    visible = torch.minimum(written.unsqueeze(1), capacity - before)
    return age.unsqueeze(1) >= visible.unsqueeze(2)


def _bias(hidden: Tensor) -> Tensor:
    return (hidden.to(torch.float32) * _HIDDEN).unsqueeze(1)
