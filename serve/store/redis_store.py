"""Sessions in Redis, which several servers share."""

from typing import Any

from emf.runtime.errors import MissingDependency, UsageError
from emf.serve.store.session_store import MOST_BYTES, Claim, claim_of

_EPOCH, _RECORD = "epoch", "record"


class RedisStore:
    """See `SessionStore`. A record is the hash `emf:NAME`, with its epoch; it expires by itself."""

    def __init__(self, url: str, keep_seconds: float) -> None:
        """Use the server at a `redis://` or `rediss://` URL.

        Raises:
            MissingDependency: the package is not installed.
            UsageError: it is no such URL.
        """
        try:
            from redis import exceptions
            from redis.asyncio import Redis
        except ImportError as error:
            raise MissingDependency.of("--snapshot-store redis://…", "redis", "redis") from error
        try:
            self._redis: Any = Redis.from_url(url)
        except ValueError as error:
            raise UsageError(f"expected a URL such as redis://HOST:6379/0 for --snapshot-store ({error})") from error
        self._errors, self._changed = exceptions.RedisError, exceptions.WatchError
        self._keep = max(int(keep_seconds), 1)

    async def write(self, claim: Claim, record: bytes) -> bool:
        """See `SessionStore`."""
        if len(record) > MOST_BYTES:
            raise OSError(f"a session of {len(record)} bytes is too large to be kept")
        key = _key(claim.name)
        return await self._change(key, claim.epoch, lambda pipe: pipe.hset(key, mapping=_fields(claim.epoch, record)))

    async def take(self, token: str) -> tuple[Claim, bytes] | None:
        """See `SessionStore`."""
        name = claim_of(token).name
        key = _key(name)
        try:
            epoch, record = await self._redis.hmget(key, _EPOCH, _RECORD)
        except self._errors as error:
            raise OSError(str(error)) from error
        if epoch is None or record is None:
            return None
        claim = Claim(name, int(epoch) + 1)
        if await self._change(key, int(epoch), lambda pipe: pipe.hset(key, _EPOCH, claim.epoch)):
            return claim, bytes(record)
        return None

    async def touch(self, claim: Claim) -> None:
        """See `SessionStore`."""
        try:
            await self._redis.expire(_key(claim.name), self._keep)
        except self._errors as error:
            raise OSError(str(error)) from error

    async def forget(self, claim: Claim) -> None:
        """See `SessionStore`."""
        key = _key(claim.name)
        await self._change(key, claim.epoch, lambda pipe: pipe.delete(key))

    async def close(self) -> None:
        """See `SessionStore`."""
        await self._redis.aclose()

    async def _change(self, key: str, epoch: int, change: Any) -> bool:
        """Change a record, unless it has another epoch by now."""
        try:
            async with self._redis.pipeline() as pipe:
                await pipe.watch(key)
                found = await pipe.hget(key, _EPOCH)
                if found is not None and int(found) != epoch:
                    return False
                pipe.multi()
                change(pipe)
                pipe.expire(key, self._keep)
                await pipe.execute()
        except self._changed:
            return False
        except self._errors as error:
            raise OSError(str(error)) from error
        return True


def _key(name: str) -> str:
    return f"emf:{name}"


def _fields(epoch: int, record: bytes) -> dict[str, int | bytes]:
    return {_EPOCH: epoch, _RECORD: record}
