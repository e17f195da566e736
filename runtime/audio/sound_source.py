"""Opening what holds a sound file: a file, a pipe, standard input; and the words for what goes wrong."""

import errno
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from emf.runtime.errors import AudioError

_PROBLEMS = {
    errno.ENOENT: "there is no such file",
    errno.EACCES: "it may not be read; change its permissions",
    errno.EMFILE: "too many files are open; raise ulimit -n, or take fewer files at once",
    errno.ENFILE: "too many files are open on this machine; close some",
}


@contextmanager
def open_sound(path: Path) -> Iterator[BinaryIO]:
    """A sound file, open to read and to seek; a pipe is read to its end first.

    Raises:
        AudioError: it is missing, may not be read, or is a folder or a device.
    """
    with errors_of(str(path)):
        try:
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise AudioError("expected a sound file, but this is a folder; name the files in it")
            if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
                raise AudioError("expected a sound file, but this is a device; name a file, or - for standard input")
            file = path.open("rb")
        except ValueError as error:
            if isinstance(error, AudioError):
                raise
            raise AudioError(f"expected a sound file, but this is no name of one ({error})") from error
        with file:
            if file.seekable():
                yield file
            else:
                with kept(file) as copy:
                    yield copy


@contextmanager
def kept(source: BinaryIO, start: bytes = b"") -> Iterator[BinaryIO]:
    """What a pipe gives until it ends, as a file without a name; `start` was read of it before."""
    with tempfile.TemporaryFile() as copy:
        copy.write(start)
        shutil.copyfileobj(source, copy)
        copy.seek(0)
        yield cast(BinaryIO, copy)


@contextmanager
def errors_of(name: str) -> Iterator[None]:
    """Let every error in here begin with the name of what is read, and be an `AudioError`."""
    try:
        yield
    except OSError as error:
        problem = _PROBLEMS.get(error.errno or 0) or error.strerror or type(error).__name__
        raise AudioError(f"{name}: expected a sound file, but {problem}") from error
    except AudioError as error:
        if str(error).startswith(f"{name}: "):
            raise
        raise AudioError(f"{name}: {error}") from error


def read_what_came(source: BinaryIO, size: int) -> bytes:
    """At least one byte and at most `size`, without waiting for more than have come; none at the end.

    What an interrupt finds is then decoded already, and not waiting for its block to fill up.
    """
    read: Callable[[int], bytes] = getattr(source, "read1", source.read)
    return read(size)
