"""A model's configuration and statistics: JSON from outside, checked by name, type and size."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emf.runtime.artifact.json_fields import read_json_fields
from emf.runtime.artifact.manifest import Geometry
from emf.runtime.errors import CheckpointError

# `torchaudio.models.emformer_rnnt_base`, as keyword arguments of `emformer_rnnt_model`.
BASE_CONFIG: dict[str, Any] = {
    "input_dim": 80,
    "encoding_dim": 1024,
    "num_symbols": 4097,
    "segment_length": 16,
    "right_context_length": 4,
    "time_reduction_input_dim": 128,
    "time_reduction_stride": 4,
    "transformer_num_heads": 8,
    "transformer_ffn_dim": 2048,
    "transformer_num_layers": 20,
    "transformer_dropout": 0.1,
    "transformer_activation": "gelu",
    "transformer_left_context_length": 30,
    "transformer_max_memory_size": 0,
    "transformer_weight_init_scale_strategy": "depthwise",
    "transformer_tanh_on_mem": True,
    "symbol_embedding_dim": 512,
    "num_lstm_layers": 3,
    "lstm_layer_norm": True,
    "lstm_layer_norm_epsilon": 1e-3,
    "lstm_dropout": 0.3,
}
MAX_LENGTH = _MAX_SIZE = 2**20
_MAX_LAYERS = 1000
# What may be absent; of everything else there is at least one, of symbols one beside the blank.
_MINIMUM = {
    "right_context_length": 0,
    "transformer_left_context_length": 0,
    "transformer_max_memory_size": 0,
    "num_symbols": 2,
}
_MAX_JSON_BYTES = 2**24


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of bounded size.

    Raises:
        CheckpointError: missing, too large, or not a JSON object.
    """
    return dict(read_json_fields(path, _MAX_JSON_BYTES, CheckpointError, "pass another file").values)


def read_config(path: Path) -> dict[str, Any]:
    """Keyword arguments of `torchaudio.models.emformer_rnnt_model`, checked by name, type and size."""
    config = read_json(path)
    missing, unknown = BASE_CONFIG.keys() - config.keys(), config.keys() - BASE_CONFIG.keys()
    if missing or unknown:
        raise CheckpointError(
            f"{path}: expected the keyword arguments of torchaudio.models.emformer_rnnt_model; "
            f"missing: {', '.join(sorted(missing)) or 'none'}; unknown: {', '.join(sorted(unknown)) or 'none'}"
        )
    for key, example in BASE_CONFIG.items():
        value = config[key]
        if isinstance(example, bool | str):
            valid = isinstance(value, type(example)) or (key.endswith("strategy") and value is None)
        elif isinstance(example, int):
            high = _MAX_LAYERS if key.endswith("layers") else _MAX_SIZE
            valid = isinstance(value, int) and not isinstance(value, bool) and _MINIMUM.get(key, 1) <= value <= high
        else:
            valid = _is_number(value) and 0 <= value <= 1
        if not valid:
            raise CheckpointError(f"{path}: {key}: expected a value like {example!r}, found {value!r:.60}")
    return config


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def geometry_of(config: Mapping[str, Any]) -> Geometry:
    """The manifest's geometry of a configuration.

    Raises:
        CheckpointError: lengths that torchaudio's streaming inference cannot run.
    """
    stride, segment, right = (
        config[key] for key in ("time_reduction_stride", "segment_length", "right_context_length")
    )
    if not 1 <= stride <= segment or (segment + right) // stride != segment // stride + right // stride:
        raise CheckpointError(
            f"segment_length {segment} and right_context_length {right} do not fit time_reduction_stride {stride}: "
            "torchaudio's streaming inference needs their remainders to add up to less than one stride"
        )
    if segment + right < 2:
        raise CheckpointError(
            f"segment_length {segment} and right_context_length {right} give windows too short for torchaudio's "
            "streaming features; expected at least two frames together"
        )
    return Geometry(
        input_dim=config["input_dim"],
        segment_length=segment,
        right_context_length=right,
        left_context_length=config["transformer_left_context_length"],
        max_memory_size=config["transformer_max_memory_size"],
        subsampling_factor=stride,
        encoding_dim=config["encoding_dim"],
        num_symbols=config["num_symbols"],
    )


def read_global_stats(path: Path, input_dim: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """`mean` and `invstddev` of torchaudio's JSON."""
    stats = read_json(path)
    values = []
    for key in ("mean", "invstddev"):
        numbers = stats.get(key)
        valid = isinstance(numbers, list) and len(numbers) == input_dim
        if not valid or not all(_is_number(v) and abs(v) < 1e30 for v in numbers or []):
            raise CheckpointError(f"{path}: expected {key!r} to be a list of {input_dim} finite numbers")
        values.append(tuple(float(v) for v in numbers or []))
    return values[0], values[1]
