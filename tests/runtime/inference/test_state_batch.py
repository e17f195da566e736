"""States side by side: the same numbers as numpy's own concatenation, whatever the sizes and the order of calls."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emf.runtime.artifact.manifest import StateSpec, TensorSpec
from emf.runtime.inference.batch_sizes import batch_rows
from emf.runtime.inference.encoder_state import EncoderState, StateLayout, StateTensor
from emf.runtime.inference.state_batch import StateBatcher

SMALL, LARGE = (3, 2), (2**10, 2**9)  # the second is copied by several threads


def layout(shape: tuple[int, ...], batch_axis: int) -> StateLayout:
    """A cache whose streams lie on an axis, and a count."""
    open_shape = (*shape[:batch_axis], None, *shape[batch_axis:])
    return tuple(
        StateTensor(StateSpec(name, f"new_{name}"), tensor, replace(tensor, name=f"new_{name}"))
        for name, tensor in (
            ("cache", TensorSpec("cache", "float32", open_shape)),
            ("length", TensorSpec("length", "int64", (None,))),
        )
    )


def make_states(count: int, shape: tuple[int, ...], seed: int = 0, batch_axis: int = 0) -> list[EncoderState]:
    rng = np.random.default_rng(seed)
    one, tensors = (*shape[:batch_axis], 1, *shape[batch_axis:]), layout(shape, batch_axis)
    return [
        EncoderState(
            tensors, {"cache": rng.standard_normal(one).astype(np.float32), "length": rng.integers(9, size=1)}, {}
        )
        for _ in range(count)
    ]


def assert_side_by_side(batcher: StateBatcher, states: list[EncoderState]) -> None:
    num_rows = len(states) + len(states) // 4
    with batcher.batch(states, num_rows) as batch:
        assert list(batch) == [tensor.name for tensor in states[0].layout]
        for tensor in states[0].layout:
            array, axis = batch[tensor.name], tensor.batch_axis
            assert array.shape[axis] == num_rows and array.flags.c_contiguous and np.isfinite(array).all()
            expected = np.concatenate([state.arrays[tensor.name] for state in states], axis)
            np.testing.assert_array_equal(batch_rows(array, axis, 0, len(states)), expected)


@pytest.mark.parametrize("num_threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [SMALL, LARGE])
@pytest.mark.parametrize("batch_axis", [0, 1, 2])
def test_every_size_of_batch(num_threads: int, shape: tuple[int, ...], batch_axis: int) -> None:
    batcher = StateBatcher(num_threads)
    for count in (1, 2, 7, 3, 8):
        assert_side_by_side(batcher, make_states(count, shape, count, batch_axis))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_buffers_of_earlier_batches_do_not_show(counts: list[int]) -> None:
    batcher = StateBatcher(2)
    for seed, count in enumerate(counts):
        assert_side_by_side(batcher, make_states(count, SMALL, seed))


def test_one_stream_is_not_copied() -> None:
    (state,) = make_states(1, SMALL)
    with StateBatcher(1).batch([state], 1) as batch:
        assert batch["cache"] is state.arrays["cache"]


def test_a_model_without_states() -> None:
    with StateBatcher(1).batch([EncoderState((), {}, {})] * 2, 2) as batch:
        assert batch == {}


def test_batches_of_several_threads_do_not_share_buffers() -> None:
    batcher = StateBatcher(2)
    batches = [make_states(5, SMALL, seed) for seed in range(40)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda states: assert_side_by_side(batcher, states), batches))


def test_a_failure_gives_the_buffers_back() -> None:
    batcher, states = StateBatcher(1), make_states(4, SMALL)
    with pytest.raises(RuntimeError), batcher.batch(states, 4) as first:
        raise RuntimeError
    with batcher.batch(states, 4) as second:
        assert np.shares_memory(first["cache"], second["cache"])
