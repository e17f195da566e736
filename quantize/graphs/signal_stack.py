"""The stack that signals are answered on, put back when OpenVINO is done.

Every `openvino.Core` that compiles gives the thread such a stack of its own, and when it ends puts back the one that it
found. If two of them end in the order in which they began, as NNCF's do, that one is freed already, and the next Ctrl-C
ends the process with a segmentation fault. Seen with OpenVINO 2025.0 to 2026.4.
"""

import contextlib
import ctypes
import sys
from collections.abc import Iterator


class _Stack(ctypes.Structure):
    """`stack_t` of Linux' `sigaltstack`."""

    _fields_ = (("base", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextlib.contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Whatever is done meanwhile, leave this thread the stack for its signals that it has now."""
    if sys.platform != "linux":
        yield
        return
    sigaltstack, before = ctypes.CDLL(None).sigaltstack, _Stack()
    sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        sigaltstack(ctypes.byref(before), None)
