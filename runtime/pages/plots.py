"""Plots as SVG text: lines on linear axes. Colours come from `STYLE`, which the page has once."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH = 480
STYLE = (Path(__file__).parent / "plots.css").read_text(encoding="utf-8")
LETTER = 7.0
"""Mean width of a letter, about: SVG cannot measure text without a browser."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 14, 12, 280
_LEGEND_TOP, _LEGEND_ROW = _BOTTOM + 58, 18
_COLOURS = 10


@dataclass(frozen=True, slots=True)
class Series:
    """Named values to draw a line through."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of values and the range of pixels that shows it."""

    low: float
    high: float
    first: float
    last: float

    def at(self, value: float) -> float:
        """The pixel of a value."""
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)

    def ticks(self) -> list[float]:
        """Round values to label, at most eight."""
        step = _nice_step((self.high - self.low) / 5)
        start = int(self.low / step) * step
        return [start + i * step for i in range(8) if self.low <= start + i * step <= self.high * (1 + 1e-9)]


def line_plot(x_label: str, y_label: str, series: Sequence[Series]) -> str:
    """Lines, with their names below the plot. Both axes begin at zero."""
    x = horizontal(*_from_zero([value for one in series for value in one.x]))
    y = vertical(*_from_zero([value for one in series for value in one.y]))
    body = []
    for index, one in enumerate(series):
        points = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in zip(one.x, one.y, strict=True))
        body.append(
            f'<polyline class="{colour(index)}" fill="none" stroke="currentColor" stroke-width="1.8" '
            f'points="{points}"><title>{escape(one.name)}</title></polyline>'
        )
        if len(one.x) == 1:
            at = f'cx="{x.at(one.x[0]):.1f}" cy="{y.at(one.y[0]):.1f}"'
            body.append(f'<circle class="{colour(index)}" {at} r="4" fill="currentColor"/>')
    return drawing(x_label, y_label, x, y, body, [one.name for one in series])


def standalone(plot: str) -> str:
    """A drawing as a file of its own, with its style."""
    head, mark, body = plot.partition(">")
    return f"{head}{mark}\n<style>\n{STYLE}</style>{body}\n"


def colour(index: int) -> str:
    """Class of the series' colour."""
    return f"c{index % _COLOURS}"


def horizontal(low: float, high: float) -> Axis:
    """The x axis of a range of values."""
    return Axis(low, high, _LEFT, WIDTH - _RIGHT)


def vertical(low: float, high: float) -> Axis:
    """The y axis of a range of values."""
    return Axis(low, high, _BOTTOM, _TOP)


def drawing(x_label: str, y_label: str, x: Axis, y: Axis, body: Sequence[str], legend: Sequence[str]) -> str:
    """Axes, grid and labels, the drawing within, and names in the order of the colours."""
    label = escape(f"{y_label} by {x_label}", quote=True)
    names, height = _legend(legend)
    middle, centre = (x.first + x.last) / 2, (y.first + y.last) / 2
    return "\n".join(
        [
            f'<svg class="plot" role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {height}" '
            'xmlns="http://www.w3.org/2000/svg">',
            *_grid(x, y),
            f'<text x="{middle:.0f}" y="{_BOTTOM + 36}" text-anchor="middle">{escape(x_label)}</text>',
            f'<text x="14" y="{centre:.0f}" text-anchor="middle" transform="rotate(-90 14 {centre:.0f})">'
            f"{escape(y_label)}</text>",
            *body,
            *names,
            "</svg>",
        ]
    )


def _grid(x: Axis, y: Axis) -> list[str]:
    lines = []
    for tick in x.ticks():
        at = x.at(tick)
        lines.append(f'<line class="grid" x1="{at:.1f}" y1="{y.last}" x2="{at:.1f}" y2="{y.first}"/>')
        lines.append(f'<text x="{at:.1f}" y="{y.first + 17}" text-anchor="middle">{tick:g}</text>')
    for tick in y.ticks():
        at = y.at(tick)
        lines.append(f'<line class="grid" x1="{x.first}" y1="{at:.1f}" x2="{x.last}" y2="{at:.1f}"/>')
        lines.append(f'<text x="{x.first - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>')
    return lines


def _legend(names: Sequence[str]) -> tuple[list[str], int]:
    """The names in rows, and the height of the drawing with them."""
    lines: list[str] = []
    left, top = float(_LEFT), _LEGEND_TOP
    for index, name in enumerate(names):
        width = 32 + LETTER * len(name)
        if left > _LEFT and left + width > WIDTH:
            left, top = float(_LEFT), top + _LEGEND_ROW
        box = f'<rect class="{colour(index)}" x="{left:.0f}" y="{top - 9}" width="10" height="10" fill="currentColor"/>'
        lines.append(f'{box}<text x="{left + 15:.0f}" y="{top}">{escape(name)}</text>')
        left += width
    return lines, top + 8 if names else _BOTTOM + 44


def _from_zero(values: Sequence[float]) -> tuple[float, float]:
    """From zero, or a negative value, to a little above the greatest."""
    low, high = min(0.0, *values, 0.0), max(values, default=0.0)
    return low, (high if high > low else low + 1.0) * 1.05


def _nice_step(step: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** len(str(int(step))) if step >= 1 else 1.0
    while power > step:
        power /= 10.0
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * 0.999)
