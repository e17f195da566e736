"""Plots as SVG text: lines and labelled points on linear axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 170, 16, 44
_COLOURS = (
    "#1f6feb",
    "#d1242f",
    "#1a7f37",
    "#9a6700",
    "#8250df",
    "#0b7285",
    "#bf3989",
    "#57606a",
    "#bc4c00",
    "#24292f",
)


@dataclass(frozen=True, slots=True)
class Series:
    """Named values to draw: a line through them, or points."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class _Axis:
    """A range of values and the range of pixels that shows it."""

    low: float
    high: float
    first: float
    last: float

    def at(self, value: float) -> float:
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)

    def ticks(self) -> list[float]:
        step = _nice_step((self.high - self.low) / 5)
        start = int(self.low / step) * step
        return [start + i * step for i in range(8) if self.low <= start + i * step <= self.high * (1 + 1e-9)]


def line_plot(x_label: str, y_label: str, series: Sequence[Series]) -> str:
    """Lines, with their names beside the plot."""
    x, y = _axes(series)
    body = []
    for index, one in enumerate(series):
        points = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in zip(one.x, one.y, strict=True))
        colour = _COLOURS[index % len(_COLOURS)]
        body.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.8" points="{points}"/>')
        if len(one.x) == 1:
            body.append(f'<circle cx="{x.at(one.x[0]):.1f}" cy="{y.at(one.y[0]):.1f}" r="4" fill="{colour}"/>')
        body.append(_legend(index, one.name, colour))
    return _frame(x_label, y_label, x, y, body)


def scatter_plot(x_label: str, y_label: str, series: Sequence[Series]) -> str:
    """Points, with their names beside the plot."""
    x, y = _axes(series)
    body = []
    for index, one in enumerate(series):
        colour = _COLOURS[index % len(_COLOURS)]
        body += [
            f'<circle cx="{x.at(a):.1f}" cy="{y.at(b):.1f}" r="5" fill="{colour}">'
            f"<title>{escape(one.name)}</title></circle>"
            for a, b in zip(one.x, one.y, strict=True)
        ]
        body.append(_legend(index, one.name, colour))
    return _frame(x_label, y_label, x, y, body)


def _axes(series: Sequence[Series]) -> tuple[_Axis, _Axis]:
    xs = [value for one in series for value in one.x] or [0.0]
    ys = [value for one in series for value in one.y] or [0.0]
    x = _Axis(*_range(xs), _LEFT, WIDTH - _RIGHT)
    return x, _Axis(*_range(ys), HEIGHT - _BOTTOM, _TOP)


def _range(values: Sequence[float]) -> tuple[float, float]:
    """From zero to a little above the greatest value."""
    low, high = min(0.0, *values, 0.0), max(values)
    return low, (high if high > low else low + 1.0) * 1.05


def _nice_step(step: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** len(str(int(step))) if step >= 1 else 1.0
    while power > step:
        power /= 10.0
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * 0.999)


def _legend(index: int, name: str, colour: str) -> str:
    top = _TOP + 10 + 17 * index
    left = WIDTH - _RIGHT + 12
    return (
        f'<rect x="{left}" y="{top - 8}" width="10" height="10" fill="{colour}"/>'
        f'<text x="{left + 15}" y="{top + 1}">{escape(name)}</text>'
    )


def _frame(x_label: str, y_label: str, x: _Axis, y: _Axis, body: Sequence[str]) -> str:
    """Axes, grid, labels, and the drawing within."""
    label = escape(f"{y_label} by {x_label}", quote=True)
    lines = [
        f'<svg class="plot" role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" font-size="11">'
    ]
    for tick in x.ticks():
        at = x.at(tick)
        lines.append(f'<line x1="{at:.1f}" y1="{y.last}" x2="{at:.1f}" y2="{y.first}" stroke="#e1e4e8"/>')
        lines.append(f'<text x="{at:.1f}" y="{y.first + 15}" text-anchor="middle">{tick:g}</text>')
    for tick in y.ticks():
        at = y.at(tick)
        lines.append(f'<line x1="{x.first}" y1="{at:.1f}" x2="{x.last}" y2="{at:.1f}" stroke="#e1e4e8"/>')
        lines.append(f'<text x="{x.first - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>')
    middle = (x.first + x.last) / 2
    lines.append(f'<text x="{middle:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>')
    centre = (y.first + y.last) / 2
    lines.append(
        f'<text x="14" y="{centre:.0f}" text-anchor="middle" transform="rotate(-90 14 {centre:.0f})">'
        f"{escape(y_label)}</text>"
    )
    return "\n".join([*lines, *body, "</svg>"])
