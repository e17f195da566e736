"""Points with their names and intervals, as SVG text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from emf.runtime.pages.plots import LETTER, Axis, colour, drawing, horizontal, vertical

_HEIGHT = 14.0
_BOLD = 1.1
_FAR = 20.0
"""A name this many pixels from its point gets a line to it."""
_DISTANCES = (3.0, 9.0, 16.0, 25.0, 36.0, 50.0)
_ANGLES = ((1.0, 0.0), (-1.0, 0.0), (0.7, -1.0), (-0.7, -1.0), (0.7, 1.0), (-0.7, 1.0), (0.0, -1.2), (0.0, 1.2))
"""Where a name may stand, seen from its point: right, left, the four corners, above and below."""


@dataclass(frozen=True, slots=True)
class Point:
    """A value with a name.

    Attributes:
        name: written beside it.
        group: gives the colour, and stands below the plot.
        x: to the right.
        y: upwards.
        interval: of y, drawn as a bar; `None` if there is none.
        marked: it gets a ring.
    """

    name: str
    group: str
    x: float
    y: float
    interval: tuple[float, float] | None = None
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "Box") -> float:
        """Area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0.0) * max(height, 0.0)


def point_plot(x_label: str, y_label: str, points: Sequence[Point]) -> str:
    """Points with their names beside them. The axes show the range of the values, not zero."""
    groups = list(dict.fromkeys(point.group for point in points))
    x = horizontal(*_around([point.x for point in points], 0.18))
    y = vertical(*_around([value for point in points for value in (point.y, *(point.interval or ()))], 0.08))
    colours = [colour(groups.index(point.group)) for point in points]
    bars = [_bar(p, x.at(p.x), y, c) for p, c in zip(points, colours, strict=True) if p.interval]
    dots = [_dot(p, x.at(p.x), y.at(p.y), c) for p, c in zip(points, colours, strict=True)]
    boxes = place_names(points, x, y)
    names = [_name(p, x.at(p.x), y.at(p.y), box, c) for p, box, c in zip(points, boxes, colours, strict=True)]
    return drawing(x_label, y_label, x, y, [*bars, *dots, *names], groups)


def place_names(points: Sequence[Point], x: Axis, y: Axis) -> list[Box]:
    """Boxes for names beside their points, where they cover no point and no other name if there is such a place."""
    taken = [_around_dot(point, x, y) for point in points]
    placed = []
    for point, dot in zip(points, taken.copy(), strict=True):
        places = list(_places(point, dot))
        within = [box for box in places if _within(box, x, y)] or places[:1]
        best = min(within, key=lambda box: sum(box.overlap(other) for other in taken))
        taken.append(best)
        placed.append(best)
    return placed


def _around_dot(point: Point, x: Axis, y: Axis) -> Box:
    left, top, radius = x.at(point.x), y.at(point.y), 11.0 if point.marked else 6.0
    return Box(left - radius, top - radius, left + radius, top + radius)


def _places(point: Point, dot: Box) -> Iterator[Box]:
    """Places for a name, the nearest first."""
    width = LETTER * len(point.name) * (_BOLD if point.marked else 1.0)
    left, top = (dot.left + dot.right) / 2, (dot.top + dot.bottom) / 2
    for distance in _DISTANCES:
        away = distance + (dot.right - dot.left) / 2
        for right, down in _ANGLES:
            start = left + away * right - width * (0.0 if right > 0 else 1.0 if right < 0 else 0.5)
            middle = top + away * down
            yield Box(start, middle - _HEIGHT / 2, start + width, middle + _HEIGHT / 2)


def _within(box: Box, x: Axis, y: Axis) -> bool:
    return x.first <= box.left and box.right <= x.last and y.last <= box.top and box.bottom <= y.first


def _around(values: Sequence[float], margin: float) -> tuple[float, float]:
    """A little below the least to a little above the greatest."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    space = margin * (high - low) or 0.1 * abs(high) or 1.0
    return low - space if low < 0 else max(low - space, 0.0), high + space


def _dot(point: Point, left: float, top: float, kind: str) -> str:
    at = f'class="{kind}" cx="{left:.1f}" cy="{top:.1f}"'
    ring = f'<circle {at} r="9" fill="none" stroke="currentColor" stroke-width="2"/>' if point.marked else ""
    title = f"<title>{escape(point.group)}/{escape(point.name)}: {point.y:.2f} at {point.x:.2f}</title>"
    return f'{ring}<circle {at} r="5" fill="currentColor">{title}</circle>'


def _bar(point: Point, left: float, y: Axis, kind: str) -> str:
    assert point.interval is not None
    low, high = (y.at(value) for value in point.interval)
    path = f"M{left:.1f} {low:.1f}V{high:.1f}m-4 0h8M{left - 4:.1f} {low:.1f}h8"
    return f'<path class="{kind}" d="{path}" fill="none" stroke="currentColor" stroke-opacity=".55"/>'


def _name(point: Point, left: float, top: float, box: Box, kind: str) -> str:
    """The name, with a line to its point where it stands apart."""
    middle = (box.top + box.bottom) / 2
    near = min(max(left, box.left), box.right)
    far = (near - left) ** 2 + (middle - top) ** 2 > _FAR**2
    ends = f'x1="{left:.1f}" y1="{top:.1f}" x2="{near:.1f}" y2="{middle:.1f}"'
    line = f'<line class="{kind}" {ends} stroke="currentColor" stroke-opacity=".6"/>' if far else ""
    weight = ' font-weight="700"' if point.marked else ""
    text = f'<text class="label {kind}" x="{box.left:.1f}" y="{middle + 4:.1f}" fill="currentColor"{weight}>'
    return f"{line}{text}{escape(point.name)}</text>"
