"""Files of an artifact: compared with what the manifest says of them, and written whole or not at all."""

import hashlib
from pathlib import Path

from emf.runtime.artifact.manifest import FileSpec
from emf.runtime.errors import ArtifactError, ArtifactNotFound


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def describe_file(root: Path, path: Path) -> FileSpec:
    """The manifest's entry for a file below `root`."""
    return FileSpec(path.relative_to(root).as_posix(), path.stat().st_size, sha256_of(path))


def verify_file(path: Path, file: FileSpec) -> None:
    """Compare a file with the manifest.

    Raises:
        ArtifactNotFound: the file is missing.
        ArtifactError: size or checksum differ.
    """
    check_present(path, file)
    _check_sha256(path, file, sha256_of(path))


def read_verified(path: Path, file: FileSpec) -> bytes:
    """A file's content, read once and compared with the manifest: what changes on the disk later does not matter.

    Raises:
        ArtifactNotFound: the file is missing.
        ArtifactError: it cannot be read, or its size or checksum differ.
    """
    check_present(path, file)
    try:
        with path.open("rb") as stream:
            content = stream.read(file.bytes + 1)
    except FileNotFoundError as error:
        raise ArtifactNotFound(f"{path}: the file vanished while it was opened; open the artifact again") from error
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); check the file's permissions") from error
    _check_sha256(path, file, hashlib.sha256(content).hexdigest())
    return content


def _check_sha256(path: Path, file: FileSpec, found: str) -> None:
    if found != file.sha256:
        raise ArtifactError(f"{path}: SHA-256 is {found[:12]}…, the manifest says {file.sha256[:12]}…; export it again")


def check_present(path: Path, file: FileSpec) -> None:
    """Check that a file is there with its size.

    Raises:
        ArtifactNotFound: the file is missing.
        ArtifactError: its size differs.
    """
    if not path.is_file():
        raise ArtifactNotFound(f"{path}: the manifest names this file, but it is missing; export the model again")
    if path.stat().st_size != file.bytes:
        raise ArtifactError(
            f"{path}: expected {file.bytes} bytes, found {path.stat().st_size}; the file is truncated or changed, "
            "export the model again"
        )


def write_whole(path: Path, text: str) -> Path:
    """Write a text file so that nobody sees a part of it, whatever interrupts this."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    return partial.replace(path)
