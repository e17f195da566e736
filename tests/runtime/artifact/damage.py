"""Ways to spoil a copy of an artifact."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Place = Sequence[str | int]


def copy_artifact(source: Path, target: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(source, target))


@contextmanager
def edited_manifest(root: Path) -> Iterator[dict[str, Any]]:
    """The manifest as a document, written back at the end."""
    path = root / "manifest.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    yield document
    path.write_text(json.dumps(document), encoding="utf-8")


def put(document: Any, place: Place, value: Any) -> None:
    """Set the value at a place of a document."""
    *parents, last = place
    for key in parents:
        document = document[key]
    document[last] = value


def remove(document: Any, place: Place) -> None:
    """Remove the field at a place of a document."""
    *parents, last = place
    for key in parents:
        document = document[key]
    del document[last]


def change_bytes(path: Path, change: Callable[[bytearray], None]) -> None:
    """Change a file's bytes in place."""
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(bytes(content))
