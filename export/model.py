"""From `demo`, `librispeech` or a checkpoint file to a torchaudio RNNT with its frontend and tokens."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch

from emf.export.checkpoint import build_rnnt, load_state_dict
from emf.export.graphs.latent_attention import Latent
from emf.export.lengths import Lengths
from emf.export.model_config import BASE_CONFIG, geometry_of, read_config, read_global_stats, read_json
from emf.export.torchaudio_loader import load_torchaudio
from emf.export.vocabulary import Pieces, numbered_pieces, read_pieces
from emf.runtime.artifact.confidence import ConfidenceCurve
from emf.runtime.artifact.files import sha256_of
from emf.runtime.artifact.manifest import Frontend, Geometry, Manifest
from emf.runtime.artifact.manifest_file import MANIFEST_NAME
from emf.runtime.errors import CheckpointError, UsageError

_LOGGER = logging.getLogger(__name__)

CONVERSION = "conversion"
"""Key of what a conversion changed, in an artifact's provenance."""
TRAINED_LENGTHS = "trained_lengths"
"""Where the manifest's provenance tells the lengths of segment and contexts that a model was trained with."""

_SAMPLE_RATE, _N_FFT, _HOP_LENGTH = 16_000, 400, 160


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
        confidence: calibrates the confidence of words, where that was measured.
        trained: the lengths that it was trained with, where others were chosen.
        latents: of each layer, if it was converted to keep these instead of keys and values; `rnnt` computes the same.
        conversion: what a conversion changed, a JSON document; `None` for a model as it was trained.
    """

    name: str
    rnnt: Any
    geometry: Geometry
    frontend: Frontend
    pieces: Pieces
    checkpoint_sha256: str
    confidence: ConfidenceCurve | None = None
    trained: Lengths | None = None
    latents: tuple[Latent, ...] = ()
    conversion: Mapping[str, Any] | None = None


def load_model(
    name: str,
    config: Path | None = None,
    tokens: Path | None = None,
    global_stats: Path | None = None,
    default_frontend: str | None = None,
    lengths: Lengths | None = None,
) -> SourceModel:
    """Load the model that `emf-export --model` names.

    Args:
        name: `demo`, `librispeech`, or the path of a `state_dict`.
        config: JSON with the keyword arguments of `emformer_rnnt_model`; `None` is the base model.
        tokens: a SentencePiece model or a `tokens.txt`.
        global_stats: torchaudio's JSON with `mean` and `invstddev`.
        default_frontend: `windowed` or `continuous`; `None` keeps the model's own.
        lengths: of segment and contexts, in place of those that the model was trained with.

    Raises:
        UsageError: the model cannot run with these lengths, or brings files of its own beside those given.
        CheckpointError: a file is missing, malformed, or does not fit the others.
        MissingDependency: torchaudio cannot be imported.
    """
    if name in ("demo", "librispeech"):
        if config or tokens or global_stats:
            raise UsageError(f"--model {name} brings its own config, tokens and global stats; leave these flags out")
        source = _load_demo(lengths) if name == "demo" else _load_librispeech(lengths)
    elif (Path(name) / MANIFEST_NAME).is_file():
        raise UsageError(f"{name}: expected a checkpoint, found an artifact; pass the checkpoint that it was made of")
    else:
        written = Path(name).name.encode("utf-8", "backslashreplace").decode("utf-8")  # the manifest is UTF-8
        source = load_files(written, Path(name), config, tokens, global_stats, lengths=lengths)
    if default_frontend is None:
        return source
    return replace(source, frontend=replace(source.frontend, default=default_frontend))


def load_checkpoint(name: str, config: Path | None, manifest: Manifest) -> SourceModel:
    """The PyTorch side of an existing artifact: weights from a checkpoint, frontend and sizes from the manifest.

    Raises:
        CheckpointError: the checkpoint's sizes are not the artifact's, or the artifact holds a converted model.
    """
    if CONVERSION in manifest.provenance:
        raise CheckpointError(
            f"{manifest.root}: holds a model that was made smaller, which no checkpoint has; emf-export compared it "
            "with PyTorch, see its manifest; leave out --checkpoint"
        )
    lengths = Lengths.of(manifest.geometry) if TRAINED_LENGTHS in manifest.provenance else None
    if name in ("demo", "librispeech"):
        source = load_model(name, lengths=lengths)
    else:
        known_pieces = Pieces((), ())
        checkpoint = Path(name)
        settings = BASE_CONFIG if config is None else read_config(config)
        settings = settings if lengths is None else lengths.applied_to(settings)
        rnnt = build_rnnt(settings, load_state_dict(checkpoint), name)
        source = SourceModel(name, rnnt, geometry_of(settings), manifest.frontend, known_pieces, sha256_of(checkpoint))
    if source.geometry != manifest.geometry:
        raise CheckpointError(f"{name}: its sizes differ from those of the artifact; check --config")
    return source


def _load_demo(lengths: Lengths | None = None) -> SourceModel:
    with resources.as_file(resources.files("emf.export.demo")) as folder:
        if not (folder / "model.pt").is_file():
            raise CheckpointError(f"{folder}: expected the demo model's files; reinstall emformer-deploy")
        frontend = read_json(folder / "frontend.json") if (folder / "frontend.json").is_file() else {}
        source = load_files(
            "demo",
            folder / "model.pt",
            folder / "model.json",
            folder / "tokens.model",
            folder / "global_stats.json",
            frontend,
            lengths,
        )
        curve = folder / "confidence.json"
        if source.trained is not None or not curve.is_file():
            return source
        return replace(source, confidence=ConfidenceCurve(**read_json(curve)))


def _load_librispeech(lengths: Lengths | None = None) -> SourceModel:
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
    return load_files("librispeech", checkpoint, None, tokens, stats, lengths=lengths)


def load_files(
    name: str,
    checkpoint: Path,
    config_path: Path | None,
    tokens: Path | None,
    global_stats: Path | None,
    frontend: Mapping[str, Any] | None = None,
    lengths: Lengths | None = None,
) -> SourceModel:
    """A model from its files; see `load_model`. `frontend` holds what differs from the usual frontend."""
    config = BASE_CONFIG if config_path is None else read_config(config_path)
    trained = Lengths.of(geometry_of(config))
    if lengths is not None:
        config = lengths.applied_to(config)
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
        trained=None if trained == Lengths.of(geometry) else trained,
    )
