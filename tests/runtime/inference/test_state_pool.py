"""Streams in blocks: in any batches, each is what it is alone, and memory follows the streams that there are."""

import copy
import errno
import mmap
import tracemalloc
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakSet

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emf.runtime import Recognizer
from emf.runtime.arrays import Array, Arrays
from emf.runtime.artifact.manifest import StateSpec, TensorSpec
from emf.runtime.inference import state_pool
from emf.runtime.inference.encoder_state import EncoderState, StateTensor
from emf.runtime.inference.session import BACKENDS
from emf.runtime.inference.state_batch import StateBatcher
from emf.runtime.inference.state_block import StateBlock
from tests.signals import SAMPLE_RATE, speech_like

CAPACITY, NEW = 5, 2
PAGEMAP = Path("/proc/self/pagemap")
LAYOUT = (
    StateTensor(
        StateSpec("length", "new_length"),
        TensorSpec("length", "int64", (None,)),
        TensorSpec("new_length", "int64", (None,)),
    ),
    StateTensor(
        StateSpec("cache", "new_cache", "ring", 2, "rows"),
        TensorSpec("cache", "float32", (None, 3, CAPACITY, 4)),
        TensorSpec("new_cache", "float32", (None, 3, NEW, 4)),
    ),
)


def step(batcher: StateBatcher, states: Sequence[EncoderState], num_rows: int) -> None:
    """A graph whose new entries depend on all old ones, and on how many there were."""
    with batcher.batch(states, num_rows) as inputs:
        assert set(inputs) == {"length", "cache", "rows"} and len(inputs["rows"]) == num_rows
        outputs = new_entries(inputs["cache"][inputs["rows"]], inputs["length"])
    for row, state in enumerate(states):
        state.write(outputs, row)


def new_entries(rings: Array, lengths: Array) -> dict[str, Array]:
    entries: Array = np.sin(rings[:, :, :NEW] + rings.sum(axis=2, keepdims=True) + lengths[:, None, None, None])
    return {"new_cache": entries.astype(np.float32), "new_length": lengths + 1}


def new_stream(seed: int) -> EncoderState:
    rings = np.random.default_rng(seed).standard_normal((1, 3, CAPACITY, 4)).astype(np.float32)
    return EncoderState.after(0, LAYOUT, {"cache": rings, "length": np.zeros(1, np.int64)})


class Crowd:
    """Streams that are decoded in batches, and each once more, in memory of its own."""

    def __init__(self, count: int) -> None:
        self.batcher = StateBatcher(1)
        self.born = 0
        self.pairs: list[tuple[EncoderState, EncoderState]] = []
        self.replace(range(count))

    def replace(self, indices: Sequence[int]) -> None:
        """End some streams; others begin."""
        for index in indices:
            self.born += 1
            self.pairs[index : index + 1] = [(new_stream(self.born), new_stream(self.born))]

    def decode(self, indices: Sequence[int]) -> None:
        step(self.batcher, [self.pairs[index][0] for index in indices], len(indices) + len(indices) // 3)
        for index in indices:
            alone = self.pairs[index][1]
            alone.write(new_entries(alone.arrays["cache"], alone.arrays["length"]), 0)

    def check(self) -> None:
        for together, alone in self.pairs:
            np.testing.assert_array_equal(together.arrays["cache"], alone.arrays["cache"])
            assert together.arrays["length"] == alone.arrays["length"] and together.written == alone.written


@contextmanager
def watched() -> Iterator["WeakSet[StateBlock]"]:
    """The blocks that there are; the smallest have two rows."""
    known: WeakSet[StateBlock] = WeakSet()

    class Known(StateBlock):
        def __init__(self, num_rows: int, rings: Arrays) -> None:
            super().__init__(num_rows, rings)
            known.add(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state_pool, "StateBlock", Known)
        patch.setattr(state_pool, "_RESERVED_BYTES", 0)
        patch.setattr(state_pool, "_FEWEST_ROWS", 2)
        yield known


@pytest.fixture
def blocks() -> Iterator["WeakSet[StateBlock]"]:
    with watched() as known:
        yield known


SETS = st.sets(st.integers(0, 11), min_size=1).map(sorted)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(SETS, st.sets(st.integers(0, 11), max_size=6).map(sorted)), min_size=1, max_size=25))
def test_each_stream_is_what_it_is_alone(steps: list[tuple[list[int], list[int]]]) -> None:
    with watched():
        crowd = Crowd(12)
        for members, ended in steps:
            crowd.decode(members)
            crowd.check()
            crowd.replace(ended)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_few_blocks(counts: list[int]) -> None:
    """A row for each stream, in one block that is not much larger than the most streams needed."""
    with watched() as known:
        crowd = Crowd(0)
        for number, count in enumerate(counts):
            del crowd.pairs[count:]
            crowd.replace(range(len(crowd.pairs), count))
            crowd.decode(range(count))
            assert [block.num_used for block in known] == [count]
            assert [block.num_rows for block in known] <= [4 * max(counts[: number + 1])]
        crowd.pairs.clear()
        assert not known, "no stream, no block"


def test_streams_that_wait_keep_few_blocks(blocks: "WeakSet[StateBlock]") -> None:
    """Each crowd leaves one stream behind that is never decoded again."""
    crowd, most, waiting = Crowd(0), 20, []
    for _ in range(30):
        crowd.replace(range(most))
        crowd.decode(range(most))
        waiting.append(crowd.pairs[-1])
        crowd.pairs.clear()
        assert sum(block.num_used for block in blocks) == len(waiting)
        assert sum(block.num_rows for block in blocks) <= 4 * (most + len(waiting))


def resident_pages(block: StateBlock) -> int:
    """Pages of a block that take memory, as Linux tells it."""
    array = block.arrays["cache"]
    with PAGEMAP.open("rb", buffering=0) as pages:
        pages.seek(array.ctypes.data // mmap.PAGESIZE * 8)
        entries = np.frombuffer(pages.read(array.nbytes // mmap.PAGESIZE * 8), np.uint64)
    return int(np.count_nonzero(entries >> np.uint64(62)))  # there, or swapped out


@pytest.mark.skipif(not PAGEMAP.exists(), reason="reads what Linux tells of memory")
def test_memory_is_what_the_streams_take() -> None:
    """Rows in use take memory and no others, whether streams begin, end or move to a larger block.

    Where the system gives huge pages, what is left of the last one comes on top.
    """
    ring, huge = np.zeros((1, 5, 12, mmap.PAGESIZE // 4), np.float32), 2**21 // mmap.PAGESIZE
    tensors = TensorSpec("cache", "float32", (None, *ring.shape[1:])), TensorSpec("new", "float32", (None, 5, 1, 1024))
    layout = (StateTensor(StateSpec("cache", "new", "ring", 2, "rows"), *tensors),)
    pool = state_pool.StatePool()
    with watched() as known:
        streams: list[EncoderState] = []
        for count in (3, 17, 100, 40, 1, 100, 200, 6):
            del streams[count:]
            streams += [EncoderState.initial(layout) for _ in range(count - len(streams))]
            pool.inputs(streams, count)
            for state in streams:
                state.arrays["cache"][...] = 1.0
            del state
            (taken,) = [resident_pages(block) for block in known]
            assert 60 * count <= taken < 60 * count + huge
        assert [block.num_rows for block in known] >= [200]


def test_streams_that_begin_share_their_zeros() -> None:
    first, second = EncoderState.initial(LAYOUT), EncoderState.initial(LAYOUT)
    assert first.arrays["cache"] is second.arrays["cache"]
    new: Arrays = {"new_cache": np.ones((1, 3, NEW, 4), np.float32), "new_length": np.ones(1, np.int64)}
    first.write(new, 0)
    assert first.arrays["cache"].sum() == 3 * NEW * 4 and not second.arrays["cache"].any()
    step(StateBatcher(1), [first, second], 2)
    assert first.arrays["cache"].any() and not EncoderState.initial(LAYOUT).arrays["cache"].any()


def test_fewer_rows_where_addresses_are_scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    def scarce(num_rows: int, rings: Arrays) -> StateBlock:
        if num_rows > 100:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return StateBlock(num_rows, rings)

    monkeypatch.setattr(state_pool, "StateBlock", scarce)
    crowd = Crowd(5)
    crowd.decode(range(5))
    crowd.check()
    row = crowd.pairs[0][0].row
    assert row is not None and row.block.num_rows == 16


def test_rows_without_streams_cost_nothing() -> None:
    """A small state has hundreds of thousands of rows: the first stream must not wait for them."""
    tracemalloc.start()
    try:
        block = StateBlock(1_000_000, {"cache": np.zeros((3, CAPACITY), np.int8)})
        rows = [block.take() for _ in range(5)]
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert [row.index for row in rows] == [0, 1, 2, 3, 4] and block.num_free == 999_995


def test_low_rows_first() -> None:
    block = StateBlock(6, {"cache": np.zeros((3, CAPACITY), np.int8)})
    rows = [block.take() for _ in range(5)]
    del rows[3], rows[1]
    assert (block.num_used, block.num_free) == (3, 3)
    assert [row.index for row in [block.take() for _ in range(3)]] == [1, 3, 5]
    assert (block.num_used, block.num_free) == (3, 3)


def test_a_copy_has_memory_of_its_own() -> None:
    crowd = Crowd(3)
    crowd.decode(range(3))
    copied = copy.deepcopy(crowd.pairs[0][0])
    before = copied.arrays["cache"].copy()
    crowd.decode(range(3))
    np.testing.assert_array_equal(copied.arrays["cache"], before)
    step(crowd.batcher, [copied], 1)
    np.testing.assert_array_equal(copied.arrays["cache"], crowd.pairs[0][0].arrays["cache"])


def test_threads_with_streams_of_their_own(blocks: "WeakSet[StateBlock]") -> None:
    crowds = [Crowd(5) for _ in range(4)]
    for crowd in crowds:
        crowd.batcher = crowds[0].batcher

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(60):
            crowds[seed].decode(random.permutation(5)[: random.integers(1, 6)].tolist())
            crowds[seed].replace(random.permutation(5)[: random.integers(0, 3)].tolist())
            crowds[seed].check()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    for crowd in crowds:
        crowd.pairs.clear()
    assert not blocks


@pytest.mark.parametrize("backend", BACKENDS)
def test_recognizers_in_changing_batches(tiny_artifact: Path, blocks: "WeakSet[StateBlock]", backend: str) -> None:
    """The same tokens as alone, snapshots that others restore, and no block when the streams are gone."""
    recognizer = Recognizer.load(tiny_artifact, backend=backend, num_threads=2)
    recordings = [speech_like(1.5 + 0.2 * seed, seed) for seed in range(5)]
    expected = [recognizer.transcribe(samples, SAMPLE_RATE).token_ids for samples in recordings]
    streams = [recognizer.create_stream() for _ in recordings]
    for stream, samples in zip(streams, recordings, strict=True):
        stream.accept_waveform(SAMPLE_RATE, samples)
        stream.input_finished()
    random = np.random.default_rng(0)
    while any(stream.is_ready for stream in streams):
        recognizer.decode_streams([stream for stream in streams if random.random() < 0.6])
        moved = int(random.integers(len(streams)))
        blob = streams[moved].snapshot()
        streams[moved] = recognizer.restore_stream(blob)
        assert streams[moved].snapshot() == blob
    assert [recognizer.get_result(stream).token_ids for stream in streams] == expected
    assert sum(map(len, expected)) > 20
    del stream
    streams.clear()
    assert not blocks
