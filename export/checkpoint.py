"""A checkpoint's tensors, read without running code, and the torchaudio `RNNT` they belong to."""

import inspect
import logging
from collections.abc import Mapping
from itertools import dropwhile
from pathlib import Path
from typing import Any

import torch

from emf.export.model_config import BASE_CONFIG
from emf.export.torchaudio_loader import load_torchaudio
from emf.runtime.errors import CheckpointError

_LOGGER = logging.getLogger(__name__)
_WRAPPERS = frozenset(("model", "module"))
"""What Lightning's module and `DataParallel` put before all names; `torch.compile` puts `_orig_mod` before some."""


def load_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a checkpoint, read without running any code of it, floating point as float32.

    Takes a `state_dict` and the checkpoints of Lightning, whose names are freed of their wrappers' prefixes.

    Raises:
        CheckpointError: missing, or anything but that.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: expected demo, librispeech or a checkpoint file, but there is no such file")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path}: expected a state_dict saved by torch.save that loads without running code ({reason:.160}); "
            "save model.state_dict(); of a Lightning checkpoint that you trust, save the weights alone: "
            "torch.save(torch.load(path, weights_only=False)['state_dict'], 'weights.pt')"
        ) from error
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not loaded or not all(isinstance(v, torch.Tensor) for v in loaded.values()):
        raise CheckpointError(
            f"{path}: expected a state_dict, tensors by name, or a Lightning checkpoint; save model.state_dict()"
        )
    tensors = {str(key): value.float() if value.is_floating_point() else value for key, value in loaded.items()}
    return _unwrapped(tensors, path)


def _unwrapped(tensors: Mapping[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    """Tensors by their names in the model; where it is wrapped, what lies beside it is left out."""
    names = {key: [part for part in key.split(".") if part != "_orig_mod"] for key in tensors}
    inside = [key for key, parts in names.items() if parts[0] in _WRAPPERS] or list(tensors)
    if beside := sorted(tensors.keys() - set(inside)):
        _LOGGER.warning("%s: left out what is not of the model: %s (%d in all)", path, beside[0], len(beside))
    found = {".".join(dropwhile(_WRAPPERS.__contains__, names[key])): tensors[key] for key in inside}
    if len(found) < len(inside):
        raise CheckpointError(f"{path}: expected the weights of one model, found several; save model.state_dict()")
    return found


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
        found = state_dict[key]
        if found.dtype != torch.float32 or found.layout != torch.strided or found.device.type != "cpu":
            raise CheckpointError(
                f"{where}: {key}: expected dense floating-point weights, found {found.dtype} ({found.layout}, "
                f"{found.device.type}); save model.float().state_dict()"
            )
        if not torch.isfinite(found).all():
            raise CheckpointError(f"{where}: {key}: expected finite weights, found NaN or infinity")
    rnnt.load_state_dict(dict(state_dict), strict=True, assign=True)
    return rnnt.eval().requires_grad_(False)
