"""Measure what no latency tells: import, first result of a new process, and memory of a stream.

Example:
    python tools/measure_process.py artifacts/base --backend openvino --precision int8

Every figure comes from a new process. Memory is what resident memory grows by when streams are decoded together for
ten seconds of audio: `stream_bytes`, per stream, when twice `--streams` join `--streams` of them, and
`batching_bytes`, once, beyond that, from one stream to `--streams`: graphs and buffers for batches.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_IMPORT = """
import json, time
begin = time.perf_counter()
import emf.runtime
print(json.dumps(time.perf_counter() - begin))
"""

_FIRST_RESULT = """
import json, sys, time
begin = time.perf_counter()
import numpy as np
from emf.runtime import Recognizer
options = json.loads(sys.argv[1])
recognizer = Recognizer.load(**options)
stream = recognizer.create_stream()
stream.accept_waveform(recognizer.sample_rate, np.zeros(recognizer.settings.extractor.end_sample(0), np.float32))
recognizer.decode_streams([stream])
recognizer.get_result(stream)
print(json.dumps(time.perf_counter() - begin))
"""

_MEMORY = """
import json, sys
from pathlib import Path
import numpy as np
from emf.runtime import Recognizer

def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096

options, count = json.loads(sys.argv[1]), int(sys.argv[2])
recognizer = Recognizer.load(**options)
noise = np.random.default_rng(0).normal(0.0, 0.05, 10 * recognizer.sample_rate).astype(np.float32)

def run(streams):
    for begin in range(0, len(noise), recognizer.sample_rate // 5):
        for stream in streams:
            stream.accept_waveform(recognizer.sample_rate, noise[begin : begin + recognizer.sample_rate // 5])
        recognizer.decode_streams(streams)
    return streams

one = run([recognizer.create_stream()])
alone = resident()
some = run([recognizer.create_stream() for _ in range(count)])
before = resident()
more = run([recognizer.create_stream() for _ in range(2 * count)])
each = (resident() - before) / (2 * count)
print(json.dumps([each, before - alone - count * each]))
"""


def in_new_process(program: str, *arguments: str) -> Any:
    """What a Python program prints, as JSON."""
    finished = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return json.loads(finished.stdout)


def measure(options: dict[str, Any], streams: int) -> dict[str, float]:
    """All figures: seconds, and bytes a stream; the best of three where time is measured."""
    with tempfile.TemporaryDirectory() as folder:
        cached = json.dumps(options | {"cache_dir": folder})
        in_new_process(_FIRST_RESULT, cached)
        stream_bytes, batching_bytes = in_new_process(_MEMORY, json.dumps(options), str(streams))
        return {
            "import_s": min(in_new_process(_IMPORT) for _ in range(3)),
            "first_result_s": min(in_new_process(_FIRST_RESULT, json.dumps(options)) for _ in range(3)),
            "first_result_cached_s": min(in_new_process(_FIRST_RESULT, cached) for _ in range(3)),
            "stream_bytes": stream_bytes,
            "batching_bytes": batching_bytes,
        }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--streams", type=int, default=32)
    arguments = parser.parse_args()
    options = {"artifact": str(arguments.artifact), "backend": arguments.backend, "precision": arguments.precision}
    sys.stdout.write(json.dumps(measure(options, arguments.streams), indent=2) + "\n")


if __name__ == "__main__":
    main()
