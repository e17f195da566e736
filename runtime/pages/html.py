"""A page as one HTML file: style and script within, nothing from a network.

Without scripts all of it can be read; with them tables sort.
"""

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from emf.runtime.pages.content import Block, Figure, KeyFigure, Page, Section
from emf.runtime.pages.plots import STYLE as PLOT_STYLE

_HERE = Path(__file__).parent
_STYLE = (_HERE / "page.css").read_text(encoding="utf-8") + PLOT_STYLE
_KEPT_TOGETHER = re.compile(r"\([^()]*\)|[\d.]+(?: / [\d.]+)+")
_SCRIPT = (_HERE / "page.js").read_text(encoding="utf-8")


def to_html(page: Page) -> str:
    """The page as HTML."""
    title = escape(page.title)
    parts = [f"<h1>{title}</h1>", *_verdict(page), *map(_section, page.sections)]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,"><style>\n{_STYLE}</style></head>\n<body><main>\n'
        + "\n".join(parts)
        + f"\n</main><script>\n{_SCRIPT}</script></body></html>\n"
    )


def _verdict(page: Page) -> Iterator[str]:
    if page.headline:
        figures = "".join(map(_key_figure, page.figures))
        yield (
            f'<div class="verdict"><p class="headline">{_breakable(page.headline)}</p><p>{escape(page.reason)}</p>'
            f"<dl>{figures}</dl></div>"
        )


def _key_figure(figure: KeyFigure) -> str:
    beside = f"<dd>{escape(figure.beside)}</dd>" if figure.beside else ""
    return f'<div><dt>{escape(figure.label)}</dt><dd class="value">{escape(figure.value)}</dd>{beside}</div>'


def _section(section: Section) -> str:
    blocks = "\n".join(map(_block, section.blocks))
    return f"<section><h2>{escape(section.heading)}</h2>\n<p>{escape(section.reading)}</p>\n{blocks}</section>"


def _block(block: Block) -> str:
    parts = [f"<p>{escape(block.text)}</p>"] if block.text else []
    parts += [_figures(block.figures)] if block.figures else []
    parts += [_table(block)] if block.table else []
    parts += [f"<pre><code>{escape(block.code)}</code></pre>"] if block.code else []
    inner = "\n".join(parts)
    return f"<details><summary>{escape(block.title)}</summary>\n{inner}</details>" if block.title else inner


def _figures(figures: tuple[Figure, ...]) -> str:
    drawn = "\n".join(f"<figure><figcaption>{escape(f.title)}</figcaption>\n{f.drawing}</figure>" for f in figures)
    return f'<div class="figures">{drawn}</div>'


def _table(block: Block) -> str:
    """The table in a box of its own: one that is too wide scrolls there, and the page stays where it is."""
    assert block.table is not None
    header, rows = block.table
    classes = [' class="secondary"' if name in block.secondary else "" for name in header]
    head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(header, classes, strict=True))
    body = []
    for first, *rest in rows:
        cells = "".join(f"<td{kind}>{_cell(cell)}</td>" for cell, kind in zip(rest, classes[1:], strict=True))
        marked = ' class="marked"' if first == block.marked else ""
        body.append(f'<tr{marked}><th scope="row">{_breakable(first)}</th>{cells}</tr>\n')
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    """What stands in brackets, and numbers between strokes, keep to one line."""
    return _KEPT_TOGETHER.sub(r"<span>\g<0></span>", escape(text))


def _breakable(name: str) -> str:
    """A variant's name breaks after its backend, and nowhere else."""
    backend, slash, rest = name.rpartition("/")
    return f"{escape(backend)}/<wbr><span>{escape(rest)}</span>" if slash else escape(name)
