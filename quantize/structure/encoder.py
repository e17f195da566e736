"""The encoder in numpy, as many segments at once as there are: any geometry, and a look into every layer.

Emformer's parallel form and its step-by-step form are the same function. Source: `torchaudio.models.Emformer.forward`
and `infer`; `export/graphs/encoder.py` is the same as a graph.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from emf.quantize.structure.weights import Affine, EncoderWeights, LayerWeights
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Geometry

_HIDDEN = np.float32(-1e8)
_SEGMENTS_AT_ONCE = 64
_NORM_EPSILON = 1e-5


class Layers(Protocol):
    """What looks into the layers, and may compute their neurons otherwise."""

    def attention_input(self, layer: int, rows: FloatArray) -> None:
        """See the normed rows (rows, d) that a layer makes keys and values of."""

    def hidden(self, layer: int, rows: FloatArray, hidden: FloatArray) -> FloatArray:
        """The neurons to go on with, given the layer's normed rows (rows, d) and their neurons (rows, F)."""


class AsTrained:
    """Changes nothing."""

    def attention_input(self, layer: int, rows: FloatArray) -> None:
        """See `Layers`."""

    def hidden(self, layer: int, rows: FloatArray, hidden: FloatArray) -> FloatArray:
        """See `Layers`."""
        return hidden


class Encoder:
    """An encoder with these weights and any geometry; its layers may be looked into and changed."""

    def __init__(self, weights: EncoderWeights, geometry: Geometry, layers: Layers | None = None) -> None:
        self.geometry = geometry
        self._weights = weights
        self._layers: Layers = layers or AsTrained()

    def encode(self, windows: FloatArray) -> FloatArray:
        """Encodings of a stream from its begin.

        Args:
            windows: of each step, (steps, segment + right context, n_mels).

        Returns:
            Shape (steps, frames a step, encoding_dim).
        """
        return np.concatenate(list(self._blocks(windows)))

    def _blocks(self, windows: FloatArray) -> Iterator[FloatArray]:
        dim, left = self._weights.dim, self.geometry.left_context_length
        empty = np.zeros((0, dim), np.float32)
        caches = [(empty, empty) for _ in self._weights.layers]
        for begin in range(0, len(windows), _SEGMENTS_AT_ONCE):
            block = windows[begin : begin + _SEGMENTS_AT_ONCE]
            mask = self._mask(len(block), len(caches[0][0]))
            rows, end = self._rows(block), len(block) * self.geometry.frames_per_step
            for index, layer in enumerate(self._weights.layers):
                rows, (key, value) = self._layer(index, layer, rows, caches[index], mask)
                held = len(caches[index][0]) + end
                first = max(held - left, 0)
                caches[index] = key[first:held], value[first:held]
            encoded = norm(linear(rows[:end], self._weights.output_linear), self._weights.norm)
            yield encoded.reshape(len(block), -1, encoded.shape[1])

    def _rows(self, windows: FloatArray) -> FloatArray:
        """The frames of all segments, then their right contexts, (rows, d)."""
        geometry = self.geometry
        stride, frames = geometry.subsampling_factor, geometry.frames_per_step
        length = geometry.step_length // stride
        x = windows[:, : length * stride] @ self._weights.input_linear
        x = x.reshape(len(windows), length, -1)
        return np.concatenate([part.reshape(-1, x.shape[2]) for part in (x[:, :frames], x[:, frames:])])

    def _mask(self, segments: int, cached: int) -> FloatArray:
        """Added to the scores, (rows, cached + rows): a segment sees its left context, itself, its right context."""
        frames, left = self.geometry.frames_per_step, self.geometry.left_context_length
        right = self.geometry.step_length // self.geometry.subsampling_factor - frames
        frame = np.arange(-cached, segments * frames)
        segment = np.arange(segments)[:, None]
        hidden = (frame < segment * frames - left) | (frame >= (segment + 1) * frames)
        others = np.repeat(np.arange(segments), right)[None] != segment
        mask = np.where(np.concatenate([hidden, others], axis=1), _HIDDEN, np.float32(0.0))
        owner = np.concatenate([np.repeat(np.arange(segments), count) for count in (frames, right)])
        return np.asarray(mask[owner], np.float32)

    def _layer(
        self, index: int, layer: LayerWeights, x: FloatArray, cache: tuple[FloatArray, FloatArray], mask: FloatArray
    ) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
        """Output rows, and all keys and values: those cached, then those of the rows."""
        normed = norm(x, layer.norm_input)
        self._layers.attention_input(index, normed)
        query, key, value = np.split(linear(normed, layer.projection), 3, axis=1)
        keys, values = np.concatenate([cache[0], key]), np.concatenate([cache[1], value])
        x = linear(self._attend(query, keys, values, mask), layer.out_proj) + x
        normed = norm(x, layer.norm_ffn)
        hidden = activate(linear(normed, layer.ffn_in), self._weights.activation)
        hidden = self._layers.hidden(index, normed, hidden)
        return norm(linear(hidden, layer.ffn_out) + x, layer.norm_output), (keys, values)

    def _attend(self, query: FloatArray, keys: FloatArray, values: FloatArray, mask: FloatArray) -> FloatArray:
        q, k, v = (
            rows.reshape(len(rows), self._weights.num_heads, -1).transpose(1, 0, 2) for rows in (query, keys, values)
        )
        scores = q @ k.transpose(0, 2, 1) + mask
        scores -= scores.max(axis=2, keepdims=True)
        shares = np.exp(scores, out=scores)
        shares /= shares.sum(axis=2, keepdims=True)
        return np.asarray((shares @ v).transpose(1, 0, 2).reshape(query.shape), np.float32)


def linear(x: FloatArray, affine: Affine) -> FloatArray:
    """Rows times a matrix, plus its bias."""
    return np.asarray(x @ affine.weight.T + affine.bias, np.float32)


def norm(x: FloatArray, affine: Affine) -> FloatArray:
    """Layer norm, as PyTorch computes it by default."""
    centred = x - x.mean(axis=1, keepdims=True)
    scale = np.sqrt(np.mean(centred * centred, axis=1, keepdims=True) + np.float32(_NORM_EPSILON))
    return np.asarray(centred / scale * affine.weight + affine.bias, np.float32)


def activate(x: FloatArray, activation: str) -> FloatArray:
    """The neurons' activation: `gelu`, `relu` or `silu`."""
    if activation == "relu":
        return np.maximum(x, np.float32(0.0))
    if activation == "silu":
        return np.asarray(x / (1 + np.exp(-np.maximum(x, -80))), np.float32)
    return np.asarray(0.5 * x * (1 + _erf(x * np.float32(0.5**0.5))), np.float32)


def _erf(x: FloatArray) -> FloatArray:
    """The error function to 1.5e-7. Source: Abramowitz and Stegun, 7.1.26."""
    size = np.abs(x)
    t = 1 / (1 + np.float32(0.3275911) * size)
    polynomial = np.full_like(x, 1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        polynomial = np.asarray(polynomial * t + np.float32(coefficient), np.float32)
    return np.asarray(np.sign(x) * (1 - polynomial * t * np.exp(-size * size)), np.float32)
