"""What speech shows of each layer, as sums: rows are never kept."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from emf.export.convert.rolling import encode, encoder_of
from emf.export.graphs.encoder import EncoderGraph
from emf.export.model import SourceModel


class Moments:
    """Mean and covariance of rows, from their sums.

    Attributes:
        count: rows seen.
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self._shift: Tensor | None = None
        self._sum, self._products = torch.zeros(dim, dtype=torch.float64), torch.zeros(dim, dim)

    def add(self, rows: Tensor) -> None:
        """Take rows (n, dim) into account; products are of what differs from the first rows' mean."""
        if self._shift is None:
            self._shift = rows.mean(dim=0)
        centred = rows - self._shift
        self.count += len(rows)
        self._sum += centred.sum(dim=0, dtype=torch.float64)
        self._products.addmm_(centred.T, centred)

    @property
    def mean(self) -> Tensor:
        """(dim,), float64."""
        return self._sum / max(self.count, 1) + (0.0 if self._shift is None else self._shift)

    @property
    def covariance(self) -> Tensor:
        """(dim, dim), float64."""
        offset = self._sum / max(self.count, 1)
        return self._products.double() / max(self.count, 1) - torch.outer(offset, offset)


@dataclass(frozen=True)
class SpeechMoments:
    """What speech shows of each layer; empty for what was not asked for.

    Attributes:
        attended: of what keys and values are made of: normed frames, right contexts, memory vectors.
        hidden: of the hidden activations of the feed-forward network.
    """

    attended: list[Moments]
    hidden: list[Moments]


def speech_moments(source: SourceModel, recordings: Iterable[Tensor], attended: bool, hidden: bool) -> SpeechMoments:
    """Encode recordings, the features of their steps, and sum up what passes through the layers."""
    graph = encoder_of(source)
    layers: list[Any] = list(graph.layers)
    found = SpeechMoments(
        [Moments(int(layer.attention.input_dim)) for layer in layers] if attended else [],
        [Moments(int(layer.pos_ff[4].in_features)) for layer in layers] if hidden else [],
    )
    frames = source.geometry.step_length // source.geometry.subsampling_factor

    def add_attended(index: int, rows: Tensor, segments: int) -> None:
        found.attended[index].add(rows[: segments * frames])
        if len(rows) > segments * frames:  # behind the summaries, which are queries only, and memories seen before
            found.attended[index].add(rows[-segments:])

    def add_hidden(index: int, rows: Tensor, _: int) -> None:
        found.hidden[index].add(rows)

    with ExitStack() as stack:
        passes = stack.enter_context(_counting_segments(graph))

        def watch(index: int, module: Any, add: Callable[[int, Tensor, int], None]) -> None:
            hook = module.register_forward_pre_hook(lambda _, given: add(index, given[0], passes[0]))
            stack.callback(hook.remove)

        for index, layer in enumerate(layers):
            if attended:
                watch(index, graph.attentions[index].projection, add_attended)
            if hidden:
                watch(index, layer.pos_ff[4], add_hidden)
        for steps in recordings:
            encode(graph, steps)
    return found


@contextmanager
def _counting_segments(graph: EncoderGraph) -> Iterator[list[int]]:
    """A list whose one item is the number of segments of the pass that the graph is in."""
    segments = [0]

    def note(_: Any, given: tuple[Tensor, ...]) -> None:
        segments[0] = given[0].shape[1] // graph.geometry.step_length

    hook = graph.register_forward_pre_hook(note)
    try:
        yield segments
    finally:
        hook.remove()
