"""The commands as they are installed.

What a command needs is imported when it runs: Ctrl-C is answered meanwhile, and a missing package is named.
This module itself imports next to nothing.
"""

import importlib
import os
import signal
import sys
from types import FrameType, ModuleType
from typing import NoReturn

_EXTRA = "onnxruntime"
_INTERRUPTED = 130


def transcribe() -> int:
    """emf-transcribe."""
    return launch("emf.runtime.commands.transcribe", _EXTRA)


def bench() -> int:
    """emf-bench."""
    return launch("emf.runtime.commands.bench", _EXTRA)


def confidence() -> int:
    """emf-confidence."""
    return launch("emf.runtime.commands.confidence", _EXTRA)


def launch(module: str, extra: str) -> int:
    """Run the `main` of a module whose packages an extra brings; without them, name the extra in one line."""
    try:
        status: int = _import_quietly(module).main()
    except KeyboardInterrupt:
        _say("interrupted")
        return _INTERRUPTED
    except ModuleNotFoundError as error:
        if not error.name or error.name.split(".")[0] == "emf":
            raise
        _say(f"needs the package {error.name}; run: pip install 'emformer-deploy[{extra}]'")
        return 2
    return status


def _import_quietly(module: str) -> ModuleType:
    """Import a module; Ctrl-C ends the process meanwhile.

    An exception would pass through other people's half-imported packages, which turn it into errors of their own.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return importlib.import_module(module)
    try:
        signal.signal(signal.SIGINT, _leave)
    except ValueError:  # not the main thread
        return importlib.import_module(module)
    try:
        return importlib.import_module(module)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(_: int, __: FrameType | None) -> NoReturn:
    _say("interrupted")
    os._exit(_INTERRUPTED)


def _say(message: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"{os.path.basename(sys.argv[0])}: {message}\n")  # noqa: PTH119 (pathlib is slow to import)
        sys.stderr.flush()
