"""A screen as SVG: one picture, or a moving one, which shows its end where motion is unwanted or unknown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from terminal_screen import Line

_LETTER, _ROW, _MARGIN = 8.4, 19.0, 14.0
_STYLE = (
    "text{font:14px 'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#e6e6e6;white-space:pre}"
    ".dim{fill:#8b949e}.bold{font-weight:700}"
)
_FEWEST_SECONDS = 0.03
"""A state that is shown for less is left out."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What the screen shows from a time on, seconds."""

    time: float
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class _Shown:
    """A row that is the same from `begin` to `end`."""

    row: int
    line: Line
    begin: float
    end: float


def still(lines: Sequence[Line], columns: int) -> str:
    """A picture of a screen."""
    rows = "\n".join(f"<g>{_row(line, number)}</g>" for number, line in enumerate(lines) if line)
    return _drawing(rows, columns, len(lines), "")


def moving(frames: Sequence[Frame], end: float, columns: int) -> str:
    """A picture that shows one frame after the other, up to the time `end`, and begins again."""
    rows, styles = [], []
    for number, shown in enumerate(_unchanged(_lasting(frames, end), end)):
        last = shown.end == end
        hidden = "" if last else ' visibility="hidden"'
        rows.append(f'<g class="r{number}"{hidden}>{_row(shown.line, shown.row)}</g>')
        if shown.begin == 0 and last:
            continue
        begin, over = 100 * shown.begin / end, 100 * shown.end / end
        first = "" if shown.begin == 0 else "0%{visibility:hidden}"
        after = "" if last else f"{over:.2f}%{{visibility:hidden}}"
        styles.append(f"@keyframes k{number}{{{first}{begin:.2f}%{{visibility:visible}}{after}}}")
        styles.append(f".r{number}{{animation:k{number} {end:.2f}s step-end infinite}}")
    motion = "".join(styles)
    height = max(len(frame.lines) for frame in frames)
    return _drawing("\n".join(rows), columns, height, f"@media not (prefers-reduced-motion:reduce){{{motion}}}")


def _lasting(frames: Sequence[Frame], end: float) -> list[Frame]:
    """The frames that somebody could see."""
    ends = [*(frame.time for frame in frames[1:]), end]
    return [frame for frame, until in zip(frames, ends, strict=True) if until - frame.time >= _FEWEST_SECONDS]


def _unchanged(frames: Sequence[Frame], end: float) -> Iterator[_Shown]:
    for row in range(max(len(frame.lines) for frame in frames)):
        states = [(frame.time, frame.lines[row] if row < len(frame.lines) else ()) for frame in frames]
        before = [None, *(line for _, line in states)]
        changes = [state for line, state in zip(before, states, strict=False) if line != state[1]]
        ends = [*(time for time, _ in changes[1:]), end]
        for (begin, line), until in zip(changes, ends, strict=True):
            if line:
                yield _Shown(row, line, begin, until)


def _row(line: Line, number: int) -> str:
    height = _MARGIN + _ROW * (number + 0.75)
    return "".join(
        f'<text class="{run.style}" x="{_MARGIN + _LETTER * run.column:.1f}" y="{height:.1f}" '
        f'textLength="{_LETTER * len(run.text):.1f}" lengthAdjust="spacingAndGlyphs" xml:space="preserve">'
        f"{escape(run.text)}</text>"
        for run in line
    )


def _drawing(rows: str, columns: int, height: int, motion: str) -> str:
    width, tall = _LETTER * columns + 2 * _MARGIN, _ROW * height + 2 * _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {tall:.0f}" width="{width:.0f}">\n'
        f"<style>{_STYLE}{motion}</style>\n"
        f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/>\n{rows}\n</svg>\n'
    )
