"""After a fork, what has threads is refused at once, and what has none goes on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PATIENCE = 120.0
FORKED = """
import os, signal, sys, numpy
from emf.runtime import EmfError, Engine, Recognizer
recognizer = Recognizer.load(sys.argv[1], backend=sys.argv[2], num_threads=int(sys.argv[3]))

def decode(count):
    streams = [recognizer.create_stream() for _ in range(count)]
    for stream in streams:
        stream.accept_waveform(8000, numpy.zeros(8000, numpy.float32))
        stream.input_finished()
    while any(stream.is_ready for stream in streams):
        recognizer.decode_streams(streams)
    return len(streams)

def refused(call):
    try:
        call()
    except EmfError as error:
        return "spawn" in str(error) and chr(10) not in str(error)
    return False

decode(3)
engine = Engine(recognizer)
handle = engine.open()
child = os.fork()
if child:
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    handle.accept_waveform(8000, numpy.zeros(8000, numpy.float32))
    handle.input_finished()
    assert handle.result(60).is_final
    engine.close()
    sys.exit(status)
signal.alarm(60)
with engine:
"""
CHILDREN = {
    "a crew": ("    assert refused(lambda: decode(3)) and refused(lambda: decode(1))", 2),
    "an engine": (
        "    assert all(map(refused, [engine.open, engine.metrics, handle.input_finished, handle.snapshot,\n"
        "        handle.result, lambda: next(handle.results()), lambda: handle.accept_waveform(8000, [0.0])]))\n"
        "    handle.close()",
        1,
    ),
    "one thread": ("    assert decode(1) == 1 and decode(3) == 3", 1),
    "an engine of the child's own": (
        "    own = Engine(recognizer).open()\n"
        "    own.accept_waveform(8000, numpy.zeros(8000, numpy.float32))\n"
        "    own.input_finished()\n"
        "    assert own.result(50).is_final",
        1,
    ),
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("case", CHILDREN)
def test_a_fork(tiny_artifact: Path, backend: str, case: str) -> None:
    """The child leaves by its last line, so that what runs at a process's end runs there too."""
    code, threads = CHILDREN[case]
    quiet = ("-W", "ignore:This process:DeprecationWarning")  # Python 3.12 warns of every fork beside threads
    command = [sys.executable, *quiet, "-c", FORKED + code, str(tiny_artifact), backend, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
