"""What a page says, as values; `html` and `markdown` give it a form."""

from collections.abc import Sequence
from dataclasses import dataclass

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""A header and rows, as text; the first column names the row."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot.

    Attributes:
        title: above it.
        drawing: SVG, from `plots` or `points`.
    """

    title: str
    drawing: str


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a section. What is empty is left out.

    Attributes:
        title: of the piece; one that has a title is folded in HTML.
        text: a sentence or more.
        table: rows; HTML sorts them by any column.
        secondary: columns of the table that a narrow screen leaves out.
        marked: first cell of the row to mark.
        figures: plots; HTML only.
        code: a command.
    """

    title: str = ""
    text: str = ""
    table: Table | None = None
    secondary: frozenset[str] = frozenset()
    marked: str = ""
    figures: tuple[Figure, ...] = ()
    code: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page.

    Attributes:
        heading: above it.
        reading: how to read it, in a sentence.
        blocks: what it shows.
    """

    heading: str
    reading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One number beside the headline: what it is, its value, and what it is compared with (may be empty)."""

    label: str
    value: str
    beside: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page.

    Attributes:
        title: of the page.
        headline: the result in some words; empty if there is none.
        reason: why, in a sentence.
        figures: numbers beside the headline; HTML only.
        sections: the rest, the most important first.
    """

    title: str
    headline: str
    reason: str
    figures: tuple[KeyFigure, ...]
    sections: tuple[Section, ...]
