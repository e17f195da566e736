"""A page as Markdown: all of it but the plots."""

from collections.abc import Iterator

from emf.runtime.pages.content import Block, Page, Section, Table


def to_markdown(page: Page) -> str:
    """The page as Markdown."""
    verdict = [f"**{page.headline}**: {page.reason}"] if page.headline else []
    sections = [part for section in page.sections for part in _section(section)]
    return "\n\n".join([f"# {page.title}", *verdict, *sections]) + "\n"


def _section(section: Section) -> Iterator[str]:
    blocks = [part for block in section.blocks for part in _block(block)]
    if blocks:
        yield f"## {section.heading}"
        yield section.reading
        yield from blocks


def _block(block: Block) -> Iterator[str]:
    shown = [block.text] if block.text else []
    shown += [_table(block.table)] if block.table else []
    shown += [f"```\n{block.code}\n```"] if block.code else []
    if shown:
        yield from [f"### {block.title}"] if block.title else []
        yield from shown


def _table(table: Table) -> str:
    header, rows = table
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
