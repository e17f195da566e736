"""What this machine's memory, caches and arithmetic give, measured with as many threads as the model runs on."""

import importlib
import importlib.util
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_LEAST_BYTES, _MOST_BYTES = 2**28, 2**31
_TIMES_THE_CACHES = 4
_ROUNDS = 7
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}
_SIZE, _PRODUCTS = 64, 256
"""Products of 64 x 64 matrices: numpy's libraries give so small a product to one thread alone."""
_ROWS, _INTEGER_SIZE = 256, 1024


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
    """Bytes a second that `num_threads` read from arrays well beyond the caches: the median of several passes."""
    wanted = _TIMES_THE_CACHES * max(cache_bytes().values(), default=0)
    count = min(max(wanted, _LEAST_BYTES), _MOST_BYTES) // 8 // num_threads
    arrays = [np.ones(count) for _ in range(num_threads)]
    return sum(array.nbytes for array in arrays) / _seconds([partial(np.max, array) for array in arrays])


def measure_float_products(num_threads: int) -> float:
    """Multiply-accumulates a second in float32 that `num_threads` reach, each with products that its caches hold."""
    left, right = np.ones((_PRODUCTS, _SIZE, _SIZE), np.float32), np.ones((_SIZE, _SIZE), np.float32)
    results = [np.empty_like(left) for _ in range(num_threads)]
    work = [partial(np.matmul, left, right, out=result) for result in results]
    return num_threads * _PRODUCTS * _SIZE**3 / _seconds(work)


def measure_integer_products(num_threads: int) -> float | None:
    """The same in INT8, through OpenVINO; `None` where that is not installed."""
    if importlib.util.find_spec("openvino") is None:
        return None
    openvino = importlib.import_module("emf.runtime.inference.session_openvino")
    product: Callable[[], object] = openvino.integer_product(_ROWS, _INTEGER_SIZE, num_threads)
    product()
    return _ROWS * _INTEGER_SIZE**2 / _seconds([product])


def _seconds(work: Sequence[Callable[[], object]]) -> float:
    """Median time of doing all the work, a thread for each piece."""
    seconds = []
    with ThreadPoolExecutor(len(work)) as pool:
        for _ in range(_ROUNDS):
            begin = time.perf_counter()
            list(pool.map(lambda piece: piece(), work))
            seconds.append(time.perf_counter() - begin)
    return median(seconds)
