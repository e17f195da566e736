"""A moving picture of a terminal shows at each time what the terminal showed."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from picture_terminal import film
from terminal_screen import Run, Screen
from terminal_svg import Frame, moving, still

SVG = "{http://www.w3.org/2000/svg}"
COLUMNS = 30


def visible_rows(drawing: str, share: float) -> list[str]:
    """The text of each row that is visible at a share of the time, by the keyframes alone."""
    root = ElementTree.fromstring(drawing)
    style = root.findtext(f"{SVG}style") or ""
    rows = []
    for group in root.iter(f"{SVG}g"):
        frames = re.search(rf"@keyframes k{(group.get('class') or 'r')[1:]}\{{(.*?\}})\}}", style)
        state = "visible"
        for at, kept in re.findall(r"([\d.]+)%\{visibility:(\w+)\}", frames[1] if frames else ""):
            state = kept if float(at) <= 100 * share else state
        if state == "visible":
            text = "".join(one.text or "" for one in group.iter(f"{SVG}text"))
            rows.append((float(next(group.iter(f"{SVG}text")).get("y") or 0), text))
    return [text for _, text in sorted(rows)]


def test_each_time_shows_its_frame() -> None:
    screen = Screen(COLUMNS, 3)
    frames = []
    for number, written in enumerate(
        ["$ run\r\n", "o", "ne \x1b[2mtwo\x1b[0m", "\r\x1b[Kone < two\n", "\rlast\r\n", "x\r\n"]
    ):
        screen.write(written)
        frames.append(Frame(float(number), screen.lines()))
    drawing = moving(frames, 6.0, COLUMNS)
    for frame in frames:
        expected = ["".join(run.text for run in line) for line in frame.lines]
        assert visible_rows(drawing, (frame.time + 0.5) / 6) == expected
    assert frames[2].lines[1] == (Run(0, "one ", "plain"), Run(4, "two", "dim"))
    assert frames[-1].lines == ((Run(0, "last", "plain"),), (Run(0, "x", "plain"),)), "a full screen scrolls"
    assert visible_rows(still(frames[-1].lines, COLUMNS), 0.0) == ["last", "x"]


def test_commands_are_run_one_after_the_other() -> None:
    frames, end = film(["echo {url}", "printf 'caf\u00e9\\n'"], "here", COLUMNS, 10)
    shown = ["".join(run.text for run in line) for line in frames[-1].lines]
    assert shown == ["$ echo ws://127.0.0.1:8000", "here", "$ printf 'caf\u00e9\\n'", "caf\u00e9"]
    assert [frame.time for frame in frames] == sorted(frame.time for frame in frames) and end > frames[-1].time
