"""From `demo`, `librispeech` or a checkpoint file to a torchaudio RNNT with its frontend and tokens."""

import inspect
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch

from emf.export.torchaudio_loader import load_torchaudio
from emf.export.vocabulary import Pieces, numbered_pieces, read_pieces
from emf.runtime.errors import CheckpointError, UsageError
from emf.runtime.manifest import Frontend, Geometry, Manifest
from emf.runtime.manifest_file import sha256_of

_LOGGER = logging.getLogger(__name__)

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
_SAMPLE_RATE, _N_FFT, _HOP_LENGTH = 16_000, 400, 160
_MAX_SIZE = 2**20
_MAX_JSON_BYTES = 2**24


@dataclass(frozen=True)
class SourceModel:
    """A model to export.

    Attributes:
        name: `demo`, `librispeech` or the checkpoint's file name.
        rnnt: the `torchaudio.models.RNNT`, in evaluation mode, float32.
        geometry: its sizes.
        frontend: features it expects.
        pieces: its vocabulary.
        checkpoint_sha256: of the checkpoint file.
    """

    name: str
    rnnt: Any
    geometry: Geometry
    frontend: Frontend
    pieces: Pieces
    checkpoint_sha256: str


def load_model(
    name: str,
    config: Path | None = None,
    tokens: Path | None = None,
    global_stats: Path | None = None,
    default_frontend: str | None = None,
) -> SourceModel:
    """Load the model that `emf-export --model` names.

    Args:
        name: `demo`, `librispeech`, or the path of a `state_dict`.
        config: JSON with the keyword arguments of `emformer_rnnt_model`; `None` is the base model.
        tokens: a SentencePiece model or a `tokens.txt`.
        global_stats: torchaudio's JSON with `mean` and `invstddev`.
        default_frontend: `windowed` or `continuous`; `None` keeps the model's own.

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit the others.
        MissingDependency: torchaudio cannot be imported.
    """
    if name in ("demo", "librispeech"):
        if config or tokens or global_stats:
            raise UsageError(f"--model {name} brings its own config, tokens and global stats; leave these flags out")
        source = _load_demo() if name == "demo" else _load_librispeech()
    else:
        source = _load_files(Path(name).name, Path(name), config, tokens, global_stats)
    if default_frontend is None:
        return source
    return replace(source, frontend=replace(source.frontend, default=default_frontend))


def load_checkpoint(name: str, config: Path | None, manifest: Manifest) -> SourceModel:
    """The PyTorch side of an existing artifact: weights from a checkpoint, frontend and sizes from the manifest.

    Raises:
        CheckpointError: the checkpoint's sizes are not the artifact's.
    """
    if name in ("demo", "librispeech"):
        source = load_model(name)
    else:
        known_pieces = Pieces((), ())
        checkpoint = Path(name)
        settings = BASE_CONFIG if config is None else read_config(config)
        rnnt = build_rnnt(settings, load_state_dict(checkpoint), name)
        source = SourceModel(name, rnnt, geometry_of(settings), manifest.frontend, known_pieces, sha256_of(checkpoint))
    if source.geometry != manifest.geometry:
        raise CheckpointError(f"{name}: its sizes differ from those of the artifact; check --config")
    return source


def _load_demo() -> SourceModel:
    with resources.as_file(resources.files("emf.export.demo")) as folder:
        if not (folder / "model.pt").is_file():
            raise CheckpointError(f"{folder}: expected the demo model's files; reinstall emformer-deploy")
        frontend = read_json(folder / "frontend.json") if (folder / "frontend.json").is_file() else {}
        return _load_files(
            "demo",
            folder / "model.pt",
            folder / "model.json",
            folder / "tokens.model",
            folder / "global_stats.json",
            frontend,
        )


def _load_librispeech() -> SourceModel:
    torchaudio = load_torchaudio()
    bundle = torchaudio.pipelines.EMFORMER_RNNT_BASE_LIBRISPEECH
    keys = (bundle._rnnt_path, bundle._sp_model_path, bundle._global_stats_path)
    try:
        checkpoint, tokens, stats = (Path(torchaudio.utils._download_asset(key)) for key in keys)
    except (URLError, OSError, RuntimeError) as error:
        cache = Path(torch.hub.get_dir()) / "torchaudio"
        raise CheckpointError(
            f"cannot download the LibriSpeech model ({error}); put the files {', '.join(keys)} of "
            f"download.pytorch.org/torchaudio into {cache}, in folders of these names"
        ) from error
    return _load_files("librispeech", checkpoint, None, tokens, stats)


def _load_files(
    name: str,
    checkpoint: Path,
    config_path: Path | None,
    tokens: Path | None,
    global_stats: Path | None,
    frontend: Mapping[str, Any] | None = None,
) -> SourceModel:
    config = BASE_CONFIG if config_path is None else read_config(config_path)
    geometry = geometry_of(config)
    state_dict = load_state_dict(checkpoint)
    rnnt = build_rnnt(config, state_dict, str(checkpoint))
    if tokens is None:
        _LOGGER.warning("no tokens given: tokens are named by their ids; pass --tokens for text")
    pieces = numbered_pieces(geometry.num_symbols) if tokens is None else read_pieces(tokens, geometry.num_symbols)
    if global_stats is None:
        _LOGGER.warning("no global statistics given: features stay unnormalised; pass --global-stats")
        mean, invstddev = (0.0,) * geometry.input_dim, (1.0,) * geometry.input_dim
    else:
        mean, invstddev = read_global_stats(global_stats, geometry.input_dim)
    return SourceModel(
        name=name,
        rnnt=rnnt,
        geometry=geometry,
        frontend=Frontend(_SAMPLE_RATE, _N_FFT, _HOP_LENGTH, geometry.input_dim, mean, invstddev, **(frontend or {})),
        pieces=pieces,
        checkpoint_sha256=sha256_of(checkpoint),
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of bounded size.

    Raises:
        CheckpointError: missing, too large, or not a JSON object.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a JSON file, but there is no such file")
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise CheckpointError(f"{path}: {path.stat().st_size} bytes are too many for this JSON file")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: expected JSON, but {error}") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found {type(document).__name__}")
    return document


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
            valid = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_SIZE
        else:
            valid = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
        if not valid:
            raise CheckpointError(f"{path}: {key}: expected a value like {example!r}, found {value!r:.60}")
    return config


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


def load_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a checkpoint, read without running any code of it, floating point as float32.

    Raises:
        CheckpointError: missing, or anything but a `state_dict`.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: expected demo, librispeech or a checkpoint file, but there is no such file")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path}: expected a state_dict saved by torch.save that loads without running code ({reason:.160}); "
            "save model.state_dict()"
        ) from error
    if not isinstance(loaded, dict) or not loaded or not all(isinstance(v, torch.Tensor) for v in loaded.values()):
        raise CheckpointError(f"{path}: expected a state_dict, tensors by name; save model.state_dict()")
    return {str(key): value.float() if value.is_floating_point() else value for key, value in loaded.items()}


def build_rnnt(config: Mapping[str, Any], state_dict: Mapping[str, torch.Tensor], where: str) -> Any:
    """A torchaudio `RNNT` with the given weights; nothing is allocated before keys and shapes agree."""
    factory = load_torchaudio().models.emformer_rnnt_model
    assert set(inspect.signature(factory).parameters) == set(BASE_CONFIG)
    try:
        with torch.device("meta"):
            rnnt = factory(**config)
    except Exception as error:
        raise CheckpointError(f"torchaudio cannot build this configuration: {error}") from error
    expected = rnnt.state_dict()
    missing, unexpected = sorted(expected.keys() - state_dict.keys()), sorted(state_dict.keys() - expected.keys())
    if missing or unexpected:
        raise CheckpointError(
            f"{where}: expected the state_dict of this configuration's RNNT; {len(missing)} keys are missing"
            f" ({', '.join(missing[:2])}), {len(unexpected)} are unexpected ({', '.join(unexpected[:2])}); "
            "check --config"
        )
    for key, tensor in expected.items():
        if tensor.shape != state_dict[key].shape:
            raise CheckpointError(
                f"{where}: {key}: expected shape {tuple(tensor.shape)}, found {tuple(state_dict[key].shape)}; "
                "check --config"
            )
        if not torch.isfinite(state_dict[key]).all():
            raise CheckpointError(f"{where}: {key}: expected finite weights, found NaN or infinity")
    rnnt.load_state_dict(dict(state_dict), strict=True, assign=True)
    return rnnt.eval().requires_grad_(False)


def read_global_stats(path: Path, input_dim: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """`mean` and `invstddev` of torchaudio's JSON."""
    stats = read_json(path)
    values = []
    for key in ("mean", "invstddev"):
        numbers = stats.get(key)
        valid = isinstance(numbers, list) and len(numbers) == input_dim
        if not valid or not all(isinstance(v, int | float) and abs(v) < 1e30 for v in numbers or []):
            raise CheckpointError(f"{path}: expected {key!r} to be a list of {input_dim} finite numbers")
        values.append(tuple(float(v) for v in numbers or []))
    return values[0], values[1]
