"""A signal is answered after OpenVINO's Cores have come and gone in any order."""

import subprocess
import sys

import pytest

CORES = """
import signal, openvino
from openvino import opset13
from emf.quantize.graphs.signal_stack import signal_stack_kept

rows = opset13.parameter([1, 4])
model = openvino.Model([opset13.relu(rows)], [rows])

def core():
    made = openvino.Core()
    return made, made.compile_model(model, "CPU")

KEPT = core() if BEFORE else None
with signal_stack_kept():
    first, second = core(), core()
    del first
    if WITHIN:
        del second
second = None
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("answered")
"""


@pytest.mark.parametrize("before", (False, True))
@pytest.mark.parametrize("within", (False, True))
def test_ctrl_c_is_answered(before: bool, within: bool) -> None:
    code = CORES.replace("BEFORE", str(before)).replace("WITHIN", str(within))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "answered\n"), done.stderr
