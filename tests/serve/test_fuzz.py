"""What reads the bytes of strangers raises its own errors only. `tools/fuzz_messages.py` goes on for longer."""

import random
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from fuzz_messages import mutated
from fuzz_targets import TARGETS

CHANGED = 150


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_that_are_changed_by_chance(name: str) -> None:
    target, chance = TARGETS[name], random.Random(9)
    for data in [*target.seeds, *(mutated(chance, target.seeds) for _ in range(CHANGED))]:
        target.read(data)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.binary(max_size=200))
def test_any_bytes(name: str, data: bytes) -> None:
    TARGETS[name].read(data)
