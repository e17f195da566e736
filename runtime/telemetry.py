"""Other people's packages are kept from reporting to their makers and from writing to the user's screen."""

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator, MutableMapping
from types import ModuleType


def refuse_telemetry() -> None:
    """Keep OpenVINO, NNCF and ONNX Runtime from reporting their use to their makers.

    Importing them is enough for that. The first two go without the package that reports where they do not find it.
    ONNX Runtime reads the environment once, as it is imported. Has no effect on what was imported before.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    modules: MutableMapping[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    modules.setdefault("openvino_telemetry", None)


@contextlib.contextmanager
def quiet(logger_name: str) -> Iterator[None]:
    """Silence a package's log below errors, its warnings, and what it prints."""
    logger = logging.getLogger(logger_name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
