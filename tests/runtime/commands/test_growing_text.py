"""Live text on a terminal, as an emulated one shows it; and tables."""

import sys
from pathlib import Path

import pytest

from emf.runtime.pages.text import text_table

sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))
from picture_terminal import chunks
from terminal_screen import Screen

COLUMNS = 20
CODE = "from emf.runtime.commands.terminal import show_growing\n"


def shown(*texts: tuple[str, str, bool]) -> list[str]:
    """The rows of a narrow terminal after these texts; in each, what may still change in brackets."""
    screen = Screen(COLUMNS, 10)
    calls = "\n".join(f"show_growing(*{text!r})" for text in texts)
    for _, written in chunks([sys.executable, "-c", CODE + calls], COLUMNS, 10):
        screen.write(written.decode())
    rows = []
    for line in screen.lines():
        rows.append("".join(f"[{run.text}]" if run.style == "dim" else run.text for run in line))
    return rows


def test_growing_text_stays_in_one_row() -> None:
    assert shown(("one ", "two", False), ("one two ", "three", False)) == ["one two [three]"]
    long = ("one two three four ", "five six", False)
    assert shown(("one two three ", "four", False), long) == ["…hree four [five six]"]
    assert shown(("", "one two three four five six", False)) == ["…[hree four five six]"]


def test_final_text_is_whole() -> None:
    rows = shown(
        ("one two three four ", "five six", False), ("one two three four five six", "", True), ("a", "", False)
    )
    assert rows == ["one two three four f", "ive six", "a"]


@pytest.mark.parametrize("rows", [[["a", "1.5", "x"], ["long name", "-", "yy"]], []])
def test_tables(rows: list[list[str]]) -> None:
    lines = text_table(("name", "ms at p50", "kind"), rows)
    assert lines[0].split("  ")[0] == "name"
    if rows:
        assert lines == ["name       ms at p50  kind", "a                1.5  x", "long name          -  yy"]
