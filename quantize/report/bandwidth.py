"""The memory traffic a variant needs, and what this machine's memory and caches give."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from emf.quantize.graphs.files import weight_bytes
from emf.quantize.report.rows import MemoryTraffic
from emf.runtime.artifact.manifest import GRAPH_NAMES, GraphSpec, Manifest

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_BUFFER_BYTES = 2**28
_ROUNDS = 5
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


def cache_bytes() -> dict[str, int]:
    """Sizes of the data caches that the first processor sees, by level; empty where the system does not tell."""
    found = {}
    for folder in sorted(_CACHES.glob("index*")):
        try:
            kind, level, size = ((folder / name).read_text("ascii").strip() for name in ("type", "level", "size"))
            if kind != "Instruction":
                found[f"L{level}"] = int(size[:-1]) * _UNITS[size[-1]]
        except (OSError, ValueError, KeyError, IndexError):
            continue
    return found


def measure_bandwidth(num_threads: int) -> float:
    """Bytes a second that `num_threads` read from memory at best, from arrays that no cache holds."""
    arrays = [np.ones(_BUFFER_BYTES // 8 // num_threads) for _ in range(num_threads)]
    best = 0.0
    with ThreadPoolExecutor(num_threads) as pool:
        for _ in range(_ROUNDS):
            begin = time.perf_counter()
            list(pool.map(np.max, arrays))
            best = max(best, sum(array.nbytes for array in arrays) / (time.perf_counter() - begin))
    return best


def audit(manifest: Manifest, graphs: Mapping[str, GraphSpec], bandwidth: float) -> MemoryTraffic:
    """What one chunk of one stream must read and write at least: every weight once, every state once.

    Args:
        manifest: of the artifact.
        graphs: of one variant.
        bandwidth: of the memory, bytes a second.
    """
    weights = {name: sum(weight_bytes(manifest, graphs[name]).values()) for name in GRAPH_NAMES}
    state = _state_bytes(graphs["encoder"])
    total = sum(weights.values()) + state
    seconds = manifest.seconds_per_step
    holding = [level for level, size in cache_bytes().items() if size >= total]
    return MemoryTraffic(
        weight_bytes=weights,
        state_bytes=state,
        bytes_per_chunk=total,
        bytes_per_second_realtime=total / seconds,
        floor_ms=1e3 * total / bandwidth,
        fits_in=holding[0] if holding else None,
    )


def _state_bytes(encoder: GraphSpec) -> int:
    names = {state.input for state in encoder.states} | {state.output for state in encoder.states}
    tensors = [tensor for tensor in (*encoder.inputs, *encoder.outputs) if tensor.name in names]
    return sum(int(np.prod([size or 1 for size in t.shape])) * np.dtype(t.dtype).itemsize for t in tensors)
