"""Tables as text: the same look in every command."""

import re
from collections.abc import Sequence

_NUMBER = re.compile(r"[-+]?\d[\d.]*(e[-+]?\d+)?( %)?|-|")
_BETWEEN = "  "


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table without ruling: columns of numbers lie to the right, all others to the left.

    Args:
        header: names of the columns, units among them.
        rows: as many cells in each; `-` where there is no number.
    """
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    widths = [max(map(len, (name, *cells))) for name, cells in zip(header, columns, strict=True)]
    right = [bool(cells) and all(map(_NUMBER.fullmatch, cells)) for cells in columns]
    return [
        _BETWEEN.join(
            cell.rjust(width) if to_the_right else cell.ljust(width)
            for cell, width, to_the_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in (header, *rows)
    ]
