"""A folder that appears whole or not at all, in the place of an older artifact."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emf.runtime.artifact.manifest_file import MANIFEST_NAME
from emf.runtime.errors import UsageError


@contextmanager
def replacing(folder: Path, force: bool) -> Iterator[Path]:
    """A new folder beside `folder` that takes its place if the block succeeds and vanishes if not."""
    if folder.exists():
        if not force:
            raise UsageError(f"{folder} exists; pass --force to replace it, or another --out")
        if not folder.is_dir() or (any(folder.iterdir()) and not _is_artifact(folder)):
            raise UsageError(f"{folder} is not an artifact and stays as it is; pass another --out")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    except OSError as error:
        raise UsageError(f"{folder}: cannot write there ({error.strerror}); pass another --out") from error
    try:
        partial.chmod(0o755)
        yield partial
        old = partial.with_suffix(".old")
        try:
            if folder.exists():
                folder.replace(old)
            partial.replace(folder)
        except BaseException:
            if old.exists() and not folder.exists():
                old.replace(folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_artifact(folder: Path) -> bool:
    """Whether a manifest lies there, of any schema; others than ours have files of that name, too."""
    try:
        document = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and {"schema_version", "graphs"} <= document.keys()
