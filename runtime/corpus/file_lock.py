"""One writer a file: a lock that ends with its process, however that ends."""

import contextlib
import errno
from pathlib import Path

from emf.runtime.errors import UsageError


def lock(descriptor: int, path: Path) -> None:
    """Lock an open file until it is closed; file systems without locks are trusted.

    Raises:
        UsageError: another process has locked it.
    """
    with contextlib.suppress(ImportError):  # no such locks on this system
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise UsageError(
                    f"{path}: another process writes to it; wait for its end, or name another --out"
                ) from None
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
                raise
