"""A folder that appears whole or not at all, in the place of an older artifact."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from emf.runtime.artifact.manifest_file import MANIFEST_NAME
from emf.runtime.errors import UsageError


def check_replaceable(folder: Path, force: bool) -> Path:
    """The folder to write: `folder`, or what it links to.

    Raises:
        UsageError: it exists and `force` is not set, is something else than an artifact, or is a mount point.
    """
    target = Path(os.path.realpath(folder))
    if _is_mount_point(target):
        raise UsageError(f"{folder} is a mount point, which cannot be replaced; pass a folder below it as --out")
    if target.is_symlink():
        raise UsageError(f"{folder} is a symbolic link to itself; pass another --out")
    if target.exists():
        if not force:
            raise UsageError(f"{folder} exists; pass --force to replace it, or another --out")
        if not target.is_dir() or (any(target.iterdir()) and not _is_artifact(target)):
            raise UsageError(f"{folder} is not an artifact and stays as it is; pass another --out")
    return target


@contextmanager
def replacing(folder: Path, force: bool) -> Iterator[Path]:
    """A new folder beside `folder` that takes its place if the block succeeds and vanishes if not.

    Raises:
        UsageError: see `check_replaceable`; or somebody else wrote the folder meanwhile, which stays as it is.
    """
    target = check_replaceable(folder, force)
    before = _identity(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    except OSError as error:
        raise UsageError(f"{folder}: cannot write there ({error.strerror}); pass another --out") from error
    try:
        partial.chmod(0o755)
        yield partial
        if not _exchange(partial, target, before):
            raise UsageError(f"{folder} was changed by another export meanwhile and stays as it is; export again")
    finally:
        shutil.rmtree(partial, ignore_errors=True)


Identity = tuple[int, int, int]


def _exchange(new: Path, target: Path, before: Identity | None) -> bool:
    """Put a folder in the place of the one that was there before; false if another is there now."""
    old = new.with_suffix(".old")
    try:
        if before is not None:
            with suppress(FileNotFoundError):
                target.replace(old)
            if old.exists() and _identity(old) != before:
                return False
        new.replace(target)
    except OSError:
        if target.exists() and _identity(target) != before:
            return False
        raise
    finally:
        if old.exists() and not target.exists():
            old.replace(target)
        shutil.rmtree(old, ignore_errors=True)
    return True


def _identity(folder: Path) -> Identity | None:
    """What tells a folder from another in its place, or from itself with other files; renaming leaves it."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _is_mount_point(folder: Path) -> bool:
    """Also where a folder of the same file system is mounted, which `os.path.ismount` does not see."""
    try:
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_bytes().splitlines()]
    except (OSError, IndexError):
        mounts = []
    return os.path.ismount(folder) or os.fsencode(_escaped(folder)) in mounts


def _escaped(folder: Path) -> str:
    """A path as the list of mounts spells it."""
    return "".join(f"\\{ord(letter):03o}" if letter in " \t\n\\" else letter for letter in str(folder))


def _is_artifact(folder: Path) -> bool:
    """Whether a manifest lies there, of any schema; others than ours have files of that name, too."""
    try:
        document = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and {"schema_version", "graphs"} <= document.keys()
