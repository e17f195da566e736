"""What a reader finds on a page, by the standard library's parser."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = ("meta", "link", "br", "wbr")
_SHAPES = ("rect", "circle", "line", "path", "polyline")


@dataclass
class Found:
    """A page's headings, titles of folded pieces, tables (header first), texts of plots, and addresses it would ask."""

    headings: list[str] = field(default_factory=list)
    folded: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    plots: list[list[str]] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    style: str = ""
    script: str = ""
    text: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found = Found()
        self.open: list[str] = []
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.addresses += [v for k, v in attrs if k in ("src", "href") and v and v != "data:,"]
        if tag in _VOID:
            return
        self.open.append(tag)
        if tag in ("h1", "h2", "summary", "th", "td", "text", "style", "script"):
            self._text = ""
        if tag == "table":
            self.found.tables.append([])
        if tag == "tr":
            self.found.tables[-1].append([])
        if tag == "svg":
            self.found.plots.append([])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _SHAPES
        assert not any("nan" in (value or "") for _, value in attrs)

    def handle_data(self, data: str) -> None:
        self._text += data
        if not {"style", "script"} & set(self.open):
            self.found.text += data

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        match tag:
            case "h1" | "h2":
                self.found.headings.append(self._text)
            case "summary":
                self.found.folded.append(self._text)
            case "th" | "td":
                self.found.tables[-1][-1].append(self._text)
            case "text":
                self.found.plots[-1].append(self._text)
            case "style":
                self.found.style += self._text
            case "script":
                self.found.script += self._text


def read_page(page: str) -> Found:
    """Read a page; every element is closed in its turn."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader.found
