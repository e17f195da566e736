"""What is told of the machine."""

from pathlib import Path

import pytest

from emf.runtime.measure.machine import StolenTime, describe_machine


def test_stolen_share_is_of_the_time_wanted(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 50 1000 5 0 1 10 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\n", encoding="ascii")
    stolen = StolenTime(stat)
    assert stolen.share() == 0.0
    stat.write_text("cpu  150 0 70 5000 9 2 4 35 0 0\n", encoding="ascii")
    assert stolen.share() == pytest.approx(25 / (50 + 20 + 2 + 3 + 25))


def test_nobody_tells(tmp_path: Path) -> None:
    assert StolenTime(tmp_path / "none").share() is None
    (tmp_path / "old").write_text("cpu 1 2 3\n", encoding="ascii")
    assert StolenTime(tmp_path / "old").share() is None


def test_description() -> None:
    machine = describe_machine()
    assert machine.processors >= 1 and machine.memory_bytes > 0
