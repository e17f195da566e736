"""Pages of any content: a parser finds it again, unchanged and in order, and nothing that would be fetched."""

import re
from string import printable
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emf.runtime.pages.content import Block, Figure, KeyFigure, Page, Section, Table
from emf.runtime.pages.html import to_html
from emf.runtime.pages.markdown import to_markdown
from emf.runtime.pages.plots import STYLE, WIDTH, Series, line_plot, standalone
from tests.runtime.pages.reading import read_page

TEXTS = st.text("".join(sorted(set(printable) - set("\r\x0b\x0c"))) + "µ²<>&\"'/", min_size=1, max_size=12)
LINES = TEXTS.map(lambda text: " ".join(text.split()) or "x")


@st.composite
def tables(draw: st.DrawFn) -> Table:
    header = draw(st.lists(LINES, min_size=1, max_size=4))
    return header, draw(st.lists(st.lists(LINES, min_size=len(header), max_size=len(header)), max_size=3))


BLOCKS = st.builds(
    Block, title=st.just("") | LINES, text=LINES, table=tables(), secondary=st.just(frozenset({"x"})), marked=LINES
)
SECTIONS = st.builds(Section, LINES, LINES, st.lists(BLOCKS, max_size=3).map(tuple))
PAGES = st.builds(Page, LINES, LINES, LINES, st.tuples(st.builds(KeyFigure, LINES, LINES, LINES)), st.tuples(SECTIONS))


@settings(deadline=None, max_examples=60)
@given(page=PAGES)
def test_a_parser_finds_what_was_put_in(page: Page) -> None:
    found = read_page(to_html(page))
    blocks = [block for section in page.sections for block in section.blocks]
    assert found.headings == [page.title, *(section.heading for section in page.sections)]
    assert found.folded == [block.title for block in blocks if block.title]
    assert found.tables == [[list(t[0]), *map(list, t[1])] for t in (block.table for block in blocks) if t]
    verdict = page.headline + page.reason + "".join(f.label + f.value + f.beside for f in page.figures)
    assert verdict + "\n" + page.sections[0].heading in found.text
    assert found.addresses == []


def test_markdown_says_the_same_but_for_plots() -> None:
    block = Block("folded", "a text", (("a", "b"), [["1 | 2", "3"]]), code="run")
    page = Page("t", "h", "r", (), (Section("s", "how to read", (block,)), Section("empty", "x", ())))
    assert to_markdown(page) == (
        "# t\n\n**h**: r\n\n## s\n\nhow to read\n\n### folded\n\na text\n\n"
        "| a | b |\n| --- | --- |\n| 1 \\| 2 | 3 |\n\n```\nrun\n```\n"
    )


def test_style_and_script_are_within() -> None:
    drawing = line_plot("x", "y", [Series("a < b", [1.0], [2.0])])
    blocks = (Block(figures=(Figure("f", drawing),)), Block(code="run 'a b' > c"))
    found = read_page(to_html(Page("t", "h", "r", (), (Section("s", "r", blocks),))))
    for rule in ("prefers-color-scheme: dark", "@media print", "::details-content", "max-width: 600px"):
        assert rule in found.style
    assert "aria-sort" in found.script and "beforeprint" in found.script
    assert not re.search(r"url\(|@import|https?:", found.style + found.script)
    assert "run 'a b' > c" in found.text
    assert len(found.plots) == 1 and found.plots[0][-3:] == ["x", "y", "a < b"]


@pytest.mark.parametrize("values", [[0.0], [0.003], [1e6, 2e6], [-5.0, 5.0], [7.0] * 3])
def test_lines_of_any_range_are_drawn(values: list[float]) -> None:
    drawing = line_plot("x", "y", [Series("<name>", range(len(values)), values)])
    numbers = [float(n) for pair in re.findall(r'points="([^"]*)"', drawing) for n in re.split("[ ,]", pair)]
    assert all(0 <= number <= WIDTH for number in numbers) and numbers
    assert "&lt;name&gt;" in drawing


def test_a_drawing_alone_brings_its_style() -> None:
    drawing = line_plot("x", "y", [Series("a", [1.0, 2.0], [2.0, 3.0])])
    tree = ElementTree.fromstring(standalone(drawing))
    assert tree[0].tag.endswith("style") and (tree[0].text or "").strip() == STYLE.strip()
    assert "<style>" not in drawing
