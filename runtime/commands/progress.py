"""Progress on standard error: the same bar in every command, and only on a terminal."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Advance = Callable[[int, str], None]
"""Adds a number of items that are done, and says what is being done."""


def progress(items: Iterable[Item], total: int | None, description: str, unit: str = "it") -> Iterable[Item]:
    """A bar that advances with each item taken."""
    bar: Iterable[Item] = _bar(description, unit, total, items)
    return bar


@contextmanager
def progress_bar(total: int | None, description: str, unit: str) -> Iterator[Advance]:
    """A bar that is advanced by hand."""
    with _bar(description, unit, total, None) as bar:

        def advance(count: int, note: str) -> None:
            bar.set_postfix_str(note, refresh=False)
            bar.update(count)
            bar.refresh()

        yield advance


def _bar(description: str, unit: str, total: int | None, items: Iterable[Any] | None) -> "tqdm[Any]":
    return tqdm(items, total=total, desc=description, unit=unit, disable=None, leave=False, dynamic_ncols=True)
