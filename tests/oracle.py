"""torchaudio as the oracle: tiny random models that speak, their features, and its beam search."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from emf.export.model import SourceModel
from emf.export.model_config import geometry_of
from emf.export.parity.reference import StreamingExtractor, windows
from emf.export.torchaudio_loader import load_torchaudio
from emf.export.vocabulary import Pieces
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Frontend, Geometry
from emf.runtime.artifact.tokens import BLANK_PIECE, WORD_BOUNDARY
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.model import Joined
from emf.runtime.search.run import initial_search_state
from tests.signals import SAMPLE_RATE, speech_like

torch.set_num_threads(1)  # operations on tiny models are slower with more

N_FFT, HOP_LENGTH = 400, 160
TOKENS_PER_SECOND = 8.0
LETTERS = "etaoinshrdlucmfwypvbgkjqxz"

# Keyword arguments of `torchaudio.models.emformer_rnnt_model`, small enough to export in seconds.
TINY: dict[str, Any] = {
    "input_dim": 20,
    "encoding_dim": 24,
    "num_symbols": 33,
    "segment_length": 16,
    "right_context_length": 4,
    "time_reduction_input_dim": 8,
    "time_reduction_stride": 4,
    "transformer_num_heads": 4,
    "transformer_ffn_dim": 48,
    "transformer_num_layers": 2,
    "transformer_dropout": 0.1,
    "transformer_activation": "gelu",
    "transformer_left_context_length": 30,
    "transformer_max_memory_size": 0,
    "transformer_weight_init_scale_strategy": "depthwise",
    "transformer_tanh_on_mem": True,
    "symbol_embedding_dim": 16,
    "num_lstm_layers": 1,
    "lstm_layer_norm": True,
    "lstm_layer_norm_epsilon": 1e-3,
    "lstm_dropout": 0.3,
}


def tiny(segment: int, right: int, stride: int, left: int, memory: int = 0, **others: Any) -> dict[str, Any]:
    """A tiny configuration. Segment and right context in feature frames, left context in encoder frames."""
    lengths = {
        "segment_length": segment,
        "right_context_length": right,
        "time_reduction_stride": stride,
        "transformer_left_context_length": left,
        "transformer_max_memory_size": memory,
    }
    return TINY | lengths | {{"activation": "transformer_activation"}.get(k, k): v for k, v in others.items()}


# The models that are exported for both engines; together they take every option.
CONFIGS: dict[str, dict[str, Any]] = {
    "like-base": tiny(16, 4, 4, left=30, input_dim=80, num_lstm_layers=3),
    "memory-tanh": tiny(8, 4, 2, left=6, memory=3, activation="relu", lstm_layer_norm=False),
    "memory-clamped": tiny(4, 2, 1, left=0, memory=2, activation="silu", transformer_tanh_on_mem=False),
    "no-state": tiny(8, 0, 4, left=0, activation="silu", lstm_layer_norm=False),
    "left-below-segment": tiny(16, 0, 4, left=2, activation="relu", num_symbols=6),
    "odd-lengths": tiny(7, 3, 3, left=5, memory=4, num_symbols=300, num_lstm_layers=2),
}


@cache
def frontend(n_mels: int) -> Frontend:
    """A frontend whose statistics are those of synthetic audio."""
    plain = Frontend(SAMPLE_RATE, N_FFT, HOP_LENGTH, n_mels, (0.0,) * n_mels, (1.0,) * n_mels)
    features = StreamingExtractor(plain)(speech_like(20.0, seed=99))
    mean, invstddev = features.mean(dim=0), 1.0 / features.std(dim=0)
    return Frontend(SAMPLE_RATE, N_FFT, HOP_LENGTH, n_mels, tuple(mean.tolist()), tuple(invstddev.tolist()))


def pieces(num_symbols: int) -> Pieces:
    """Letters, every other one of which begins a word; the first symbol is unknown, the last the blank."""
    named = [f"{WORD_BOUNDARY * (i % 2)}{LETTERS[i % 26]}{'' if i < 26 else i}" for i in range(1, num_symbols - 1)]
    return Pieces(("<unk>", *named, BLANK_PIECE), (0, num_symbols - 1))


@cache
def random_rnnt(seed: int = 0, **config: Any) -> Any:
    """A torchaudio RNNT with random weights that emits some tokens a second.

    Random weights emit almost nothing or garbage: the joiner's weight is scaled by 3, and the blank's
    bias set so that the blank loses against the best other symbol at as many frames as wanted.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        rnnt = load_torchaudio().models.emformer_rnnt_model(**config).eval().requires_grad_(False)
    geometry, features = geometry_of(config), frontend(config["input_dim"])
    rnnt.joiner.linear.weight *= 3.0
    encodings = torch.cat(encode(rnnt, speech_like(4.0, seed=98), features, geometry))
    # The encodings meet the predictions after the blank and after every other symbol.
    count = min(geometry.num_symbols, 32)
    symbols = torch.arange(geometry.num_symbols - count, geometry.num_symbols)[:, None]
    predictions, _, _ = rnnt.predict(symbols, torch.ones(count, dtype=torch.int32), None)
    lengths = torch.full((count,), len(encodings)), torch.ones(count, dtype=torch.int32)
    logits = rnnt.join(encodings.expand(count, -1, -1), lengths[0], predictions, lengths[1])[0].flatten(0, 2)
    margins = logits[:, :-1].max(dim=1).values - logits[:, -1]
    frame = geometry.subsampling_factor * HOP_LENGTH / SAMPLE_RATE
    rnnt.joiner.linear.bias[-1] += torch.quantile(margins, 1.0 - TOKENS_PER_SECOND * frame)
    return rnnt


def encode(rnnt: Any, samples: FloatArray, features: Frontend, geometry: Geometry) -> list[torch.Tensor]:
    """Encodings of every chunk of torchaudio's streaming loop, each of shape (frames, encoding_dim)."""
    extract, state, encodings = StreamingExtractor(features), None, []
    for window in windows(samples, features, geometry):
        chunk = extract(window)[None, : geometry.step_length]
        encoding, _, state = rnnt.transcribe_streaming(chunk, torch.tensor([chunk.shape[1]]), state)
        encodings.append(encoding[0])
    return encodings


def source(name: str) -> SourceModel:
    """One of `CONFIGS` as the exporter takes it."""
    return source_of(name, CONFIGS[name])


def source_of(name: str, config: dict[str, Any]) -> SourceModel:
    """A random model of any configuration as the exporter takes it."""
    return SourceModel(
        name=name,
        rnnt=random_rnnt(**config),
        geometry=geometry_of(config),
        frontend=frontend(config["input_dim"]),
        pieces=pieces(config["num_symbols"]),
        checkpoint_sha256="0" * 64,
    )


class TorchModel:
    """An RNNT's predictor and joiner, run by torchaudio, as the searches of `emf.runtime` want them."""

    def __init__(self, rnnt: Any, blank_id: int) -> None:
        self.rnnt, self.blank_id = rnnt, blank_id
        self.num_layers = len(rnnt.predictor.lstm_layers)
        self.hidden = rnnt.predictor.lstm_layers[0].hidden_dim
        self.dtype = next(rnnt.parameters()).numpy().dtype

    def start(self) -> SearchState:
        return initial_search_state(self, self.blank_id, np.zeros((self.num_layers, 2, self.hidden), self.dtype))

    def predict(self, tokens: npt.NDArray[np.int64], states: FloatArray) -> tuple[FloatArray, FloatArray]:
        layers = [list(layer.unbind(1)) for layer in torch.from_numpy(states).unbind(1)]
        ones = torch.ones(len(tokens), dtype=torch.int32)
        output, _, new = self.rnnt.predict(torch.from_numpy(tokens)[:, None], ones, layers)
        stacked = torch.stack([torch.stack(layer, dim=1) for layer in new], dim=1)
        return output[:, 0].numpy(), stacked.numpy()

    def join(self, encodings: FloatArray, predictions: FloatArray, temperature: float, top_k: int) -> Joined:
        ones = torch.ones(len(encodings), dtype=torch.int32)
        source, target = torch.from_numpy(encodings)[:, None], torch.from_numpy(predictions)[:, None]
        log_probs = (self.rnnt.join(source, ones, target, ones)[0][:, 0, 0] / temperature).log_softmax(dim=1)
        top = log_probs[:, :-1].topk(min(top_k, log_probs.shape[1] - 1), dim=1)
        return Joined(log_probs[:, -1].numpy(), top.values.numpy(), top.indices.numpy())
