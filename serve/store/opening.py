"""The store that --snapshot-store names."""

from pathlib import Path

from emf.serve.store.folder_store import FolderStore
from emf.serve.store.redis_store import RedisStore
from emf.serve.store.session_store import SessionStore

_REDIS = ("redis://", "rediss://", "unix://")


def open_store(place: str, keep_seconds: float) -> SessionStore:
    """A folder, or Redis at a URL; records are kept for so many seconds after they were written or touched.

    Raises:
        EmfError: it cannot be used.
    """
    if place.startswith(_REDIS):
        return RedisStore(place, keep_seconds)
    return FolderStore(Path(place), keep_seconds)
