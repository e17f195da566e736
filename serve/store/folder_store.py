"""Sessions in a folder that several servers share.

A record is the file `NAME.EPOCH`, which only its owner may read. Who claims it links it to the next epoch and leaves an
empty file behind: whoever wrote there before finds the next one, and stops.
"""

import asyncio
import os
import time
from itertools import count
from pathlib import Path

from emf.runtime.errors import UsageError
from emf.serve.store.session_store import MOST_BYTES, Claim, claim_of

_MODE = 0o600
_SWEEPS = 4
"""Looks for forgotten records in the time for which they are kept."""


class FolderStore:
    """See `SessionStore`."""

    def __init__(self, folder: Path, keep_seconds: float) -> None:
        """Use a folder, which is made where it does not exist.

        Raises:
            UsageError: it cannot be written to.
        """
        self._folder, self._keep = folder, keep_seconds
        self._swept_at = 0.0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = folder / f".{os.getpid()}"
            _write(probe, b"")
            probe.unlink()
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(f"expected a folder for --snapshot-store that can be written to ({reason})") from error

    async def write(self, claim: Claim, record: bytes) -> bool:
        """See `SessionStore`."""
        return await asyncio.to_thread(self._replace, claim, record)

    async def take(self, token: str) -> tuple[Claim, bytes] | None:
        """See `SessionStore`."""
        return await asyncio.to_thread(self._take, claim_of(token).name)

    async def touch(self, claim: Claim) -> None:
        """See `SessionStore`."""
        await asyncio.to_thread(self._touch, claim)

    async def forget(self, claim: Claim) -> None:
        """See `SessionStore`."""
        await asyncio.to_thread(self._forget, claim)

    async def close(self) -> None:
        """See `SessionStore`."""

    def _path(self, name: str, epoch: int) -> Path:
        return self._folder / f"{name}.{epoch}"

    def _replace(self, claim: Claim, record: bytes) -> bool:
        self._sweep()
        if len(record) > MOST_BYTES:
            raise OSError(f"a session of {len(record)} bytes is too large to be kept")
        if self._path(claim.name, claim.epoch + 1).exists():
            return False
        whole = self._folder / f".{claim.name}.{claim.epoch}.{os.getpid()}"
        _write(whole, record)
        whole.replace(self._path(claim.name, claim.epoch))
        return True

    def _take(self, name: str) -> tuple[Claim, bytes] | None:
        self._sweep()
        epoch = next(n for n in count() if not self._path(name, n + 1).exists())
        newest, own = self._path(name, epoch), self._path(name, epoch + 1)
        try:
            if not newest.stat().st_size:
                return None
            own.hardlink_to(newest)
        except (FileNotFoundError, FileExistsError):
            return None
        record = own.read_bytes()
        empty = self._folder / f".{name}.{epoch}.{os.getpid()}"
        _write(empty, b"")
        empty.replace(newest)
        os.utime(own)
        return Claim(name, epoch + 1), record

    def _touch(self, claim: Claim) -> None:
        self._sweep()
        for epoch in range(claim.epoch + 1):
            try:
                os.utime(self._path(claim.name, epoch))
            except FileNotFoundError:
                continue

    def _forget(self, claim: Claim) -> None:
        if self._path(claim.name, claim.epoch + 1).exists():
            return  # it goes on elsewhere
        for epoch in range(claim.epoch + 1):
            self._path(claim.name, epoch).unlink(missing_ok=True)

    def _sweep(self) -> None:
        now = time.time()
        if now - self._swept_at < self._keep / _SWEEPS:
            return
        self._swept_at = now
        for entry in os.scandir(self._folder):
            try:
                if entry.is_file() and now - entry.stat().st_mtime > self._keep:
                    Path(entry.path).unlink()
            except FileNotFoundError:
                continue


def _write(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as file:
        file.write(data)
