"""What a terminal shows of what commands write to it: enough of one for the commands of this project."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

_PIECES = re.compile(r"\x1b\[([\d;]*)([A-Za-z])|([\r\n\b])|([^\x1b\r\n\b]+)|(.)", re.DOTALL)
_PLAIN, _BOLD, _DIM = "plain", "bold", "dim"
_STYLES = {"0": _PLAIN, "": _PLAIN, "1": _BOLD, "2": _DIM, "22": _PLAIN}


@dataclass(frozen=True, slots=True)
class Run:
    """Letters of one style in a row.

    Attributes:
        column: of the first letter, from 0.
        text: the letters.
        style: `plain`, `bold` or `dim`.
    """

    column: int
    text: str
    style: str


Line = tuple[Run, ...]


class Screen:
    """A screen of fixed size. Long lines wrap, full screens scroll."""

    def __init__(self, columns: int, rows: int) -> None:
        self._columns, self._rows = columns, rows
        self._cells: list[list[tuple[str, str]]] = [[]]
        self._row = self._column = 0
        self._style = _PLAIN

    def write(self, text: str) -> None:
        """Show text with its control sequences.

        Raises:
            ValueError: a sequence that this screen does not know.
        """
        for piece in _PIECES.finditer(text):
            arguments, letter, control, letters, unknown = piece.groups()
            if unknown is not None:
                raise ValueError(f"expected whole control sequences, found {unknown!r}")
            if letter is not None:
                self._sequence(arguments, letter)
            elif control is not None:
                self._control(control)
            else:
                for one in letters:
                    self._put(one)

    def lines(self) -> tuple[Line, ...]:
        """The rows that are shown, without empty ones at the end."""
        found = [_runs(cells) for cells in self._cells]
        while found and not found[-1]:
            found.pop()
        return tuple(found)

    def _sequence(self, arguments: str, letter: str) -> None:
        cells = self._cells[self._row]
        match letter:
            case "K":
                del cells[self._column :]
            case "m" if arguments in _STYLES:
                self._style = _STYLES[arguments]
            case "A":
                self._row = max(self._row - int(arguments or 1), 0)
            case _:
                raise ValueError(f"expected sequences K, m and A, found {arguments}{letter}")

    def _control(self, control: str) -> None:
        if control == "\n":
            self._down()
        self._column = max(self._column - 1, 0) if control == "\b" else 0

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._cells):
            self._cells.append([])
        if len(self._cells) > self._rows:
            del self._cells[0]
            self._row -= 1

    def _put(self, letter: str) -> None:
        if self._column == self._columns:
            self._down()
            self._column = 0
        cells = self._cells[self._row]
        cells += [(" ", _PLAIN)] * (self._column + 1 - len(cells))
        cells[self._column] = (letter, self._style)
        self._column += 1


def _runs(cells: Sequence[tuple[str, str]]) -> Line:
    found, column = [], 0
    for style, group in groupby(cells, key=lambda cell: cell[1]):
        text = "".join(letter for letter, _ in group)
        if text.strip():
            found.append(Run(column, text, style))
        column += len(text)
    return tuple(found)
