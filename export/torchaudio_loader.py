"""Import torchaudio's models with or without its native libraries.

The torchaudio wheel of the package index is built for CUDA. Beside a CPU-only torch its
shared libraries cannot be loaded, and `import torchaudio` raises, although nothing of
Emformer-RNNT needs them. This module is the only place that imports torchaudio.
"""

import importlib
import importlib.machinery
import logging
import sys
from functools import cache
from types import ModuleType
from typing import Any

from emf.runtime.errors import MissingDependency

_LOGGER = logging.getLogger(__name__)
_EXTENSION = "torchaudio._extension"


def _forget_torchaudio() -> None:
    """Remove what a failed import left behind, so that the next one starts afresh."""
    for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        del sys.modules[name]


def _requires_native_library(function: Any) -> Any:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"{function.__name__} needs torchaudio's native library, which is not loaded")

    return refuse


def _extension_stand_in() -> ModuleType:
    """What `torchaudio._extension` looks like in a build of torchaudio without native code."""
    module = ModuleType(_EXTENSION)
    module.__spec__ = importlib.machinery.ModuleSpec(_EXTENSION, loader=None)
    module.__dict__.update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        _check_cuda_version=lambda: None,
        fail_if_no_align=_requires_native_library,
    )
    return module


@cache
def load_torchaudio() -> ModuleType:
    """Import torchaudio, without its native libraries where they cannot be loaded.

    Returns:
        The `torchaudio` module, with `models`, `pipelines` and `transforms` usable.

    Raises:
        MissingDependency: torch or torchaudio is missing, or torchaudio cannot be imported
            even without its native libraries.
    """
    try:
        return importlib.import_module("torchaudio")
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"the exporter needs torch and torchaudio, but {error.name} is not installed; "
            "run: pip install 'emformer-deploy[export]'"
        ) from error
    except (OSError, ImportError, RuntimeError) as error:
        _LOGGER.info("torchaudio's native libraries do not load beside this torch (%s); going on without them", error)
    _forget_torchaudio()
    sys.modules[_EXTENSION] = _extension_stand_in()
    try:
        return importlib.import_module("torchaudio")
    except Exception as error:
        _forget_torchaudio()
        raise MissingDependency(
            f"torchaudio cannot be imported with or without its native libraries ({error}); expected torchaudio 2.11 "
            "beside torch 2.11 to 2.13; run: pip install 'emformer-deploy[export]'"
        ) from error
