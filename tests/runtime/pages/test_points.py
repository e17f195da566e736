"""Plots of points: every name is beside its point, within the frame, and covers no other."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emf.runtime.pages.plots import horizontal, vertical
from emf.runtime.pages.points import Point, place_names, point_plot
from tests.runtime.pages.reading import read_page

SHARES = st.floats(0, 1)
POINTS = st.lists(
    st.builds(Point, st.sampled_from(["fp32", "int8", "int4-weight"]), st.sampled_from("ab"), SHARES, SHARES),
    min_size=1,
    max_size=9,
)


@settings(deadline=None)
@given(points=POINTS)
def test_names_stand_within_the_frame_and_apart(points: list[Point]) -> None:
    x, y = horizontal(-0.2, 1.2), vertical(-0.1, 1.1)
    boxes = place_names(points, x, y)
    for box in boxes:
        assert x.first <= box.left < box.right <= x.last and y.last <= box.top < box.bottom <= y.first
    if len(points) <= 5:
        assert not any(one.overlap(other) for one, other in itertools.combinations(boxes, 2))


@pytest.mark.parametrize("values", [[0.0], [0.003], [1e6, 2e6], [-5.0, 5.0], [7.0] * 3])
def test_any_range_is_drawn(values: list[float]) -> None:
    points = [Point(f"<{i}>", "a & b", v, v, (v - 1, v + 1), i == 0) for i, v in enumerate(values)]
    (texts,) = read_page(point_plot("x", "y", points)).plots
    assert [text for text in texts if text.startswith("<")] == [point.name for point in points]
    assert texts[-1] == "a & b" and {"x", "y"} <= set(texts)
