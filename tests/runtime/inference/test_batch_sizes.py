"""Cutting batches: nothing is lost, and no other choice of blocks is cheaper."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime.inference.batch_sizes import block_sizes, cut, padded

LADDERS = [(1,), (1, 4, 16), (10, 20, 40, 80), (3, 5)]


def cost(blocks: tuple[int, ...], sizes: tuple[int, ...]) -> int:
    return sum(size + 3 * sizes[0] for size in blocks)


@pytest.mark.parametrize(
    ("rows", "most", "expected"), [(10, 80, (10, 20, 40, 80)), (1, 5, (1, 2, 4)), (100, 80, (80,)), (80, 80, (80,))]
)
def test_sizes_double(rows: int, most: int, expected: tuple[int, ...]) -> None:
    assert block_sizes(rows, most) == expected


@given(st.integers(1, 700), st.sampled_from(LADDERS))
def test_blocks_hold_all_rows_and_only_the_last_has_room(num_rows: int, sizes: tuple[int, ...]) -> None:
    blocks = cut(num_rows, sizes)
    assert set(blocks) <= set(sizes) and list(blocks) == sorted(blocks, reverse=True)
    assert sum(blocks[:-1]) < num_rows <= sum(blocks)


@pytest.mark.parametrize("sizes", LADDERS)
def test_no_other_blocks_are_cheaper(sizes: tuple[int, ...]) -> None:
    for num_rows in range(1, 4 * sizes[0] + 1):
        every = (
            blocks
            for count in range(1, -(-num_rows // sizes[0]) + 1)
            for blocks in combinations_with_replacement(sizes, count)
            if sum(blocks) >= num_rows
        )
        assert cost(cut(num_rows, sizes), sizes) == min(cost(blocks, sizes) for blocks in every)


def test_zeros_fill_a_block_up() -> None:
    array = np.ones((3, 2), np.float32)
    np.testing.assert_array_equal(padded(array, 5), [[1, 1]] * 3 + [[0, 0]] * 2)


def test_a_full_block_is_not_copied() -> None:
    array = np.ones((4, 2), np.float32)
    assert padded(array, 4) is array
