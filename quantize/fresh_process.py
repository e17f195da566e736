"""Call a function in a process of its own that has imported nothing but what the function needs.

`multiprocessing` imports the calling program's main module into its children; here that would bring
in NNCF, whose memory would count as the variant's.
"""

import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from emf.runtime.errors import EmfError

_STANDARD_ERROR = 2
Arguments = ParamSpec("Arguments")
R = TypeVar("R")


def call_in_fresh_process(function: Callable[Arguments, R], *args: Arguments.args, **kwargs: Arguments.kwargs) -> R:
    """Call a module's function in a new Python process and return what it returns.

    Args:
        function: found by its module and name in the new process.
        args: pickled.
        kwargs: pickled.

    Raises:
        EmfError: as the function raised it, or the process died.
    """
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder) / "request", Path(folder) / "answer"
        request.write_bytes(pickle.dumps((function, args, kwargs)))
        command = [sys.executable, "-m", "emf.quantize.fresh_process", str(request), str(answer)]
        finished = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=_STANDARD_ERROR, check=False)
        if not answer.is_file():
            raise EmfError(
                f"{function.__name__}: its process ended with status {finished.returncode}; is memory short?"
            )
        result: R | Exception = pickle.loads(answer.read_bytes())
    if isinstance(result, Exception):
        raise result
    return result


def _serve(request: Path, answer: Path) -> None:
    """The new process: call, and leave the result or the error behind."""
    function, args, kwargs = pickle.loads(request.read_bytes())
    try:
        result = function(*args, **kwargs)
    except EmfError as error:
        result = error
    answer.write_bytes(pickle.dumps(result))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the calling process answers Ctrl-C
    _serve(Path(sys.argv[1]), Path(sys.argv[2]))
