"""A folder and Redis keep records alike."""

import asyncio
import shutil
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakeredis import TcpFakeServer

from emf.runtime.errors import UsageError
from emf.serve.store.opening import open_store
from emf.serve.store.session_store import SessionStore, claim_of


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"redis://127.0.0.1:{server.server_address[1]}/0"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def real_redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server itself, where it is installed."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = str(tmp_path_factory.mktemp("redis"))
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for_port(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


def wait_for_port(port: int) -> None:
    end = time.monotonic() + 60.0
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        except OSError:
            assert time.monotonic() < end, "redis-server does not listen"
            time.sleep(0.05)


@pytest.fixture(params=["folder", "redis", "real_redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "folder" else str(request.getfixturevalue(f"{request.param}_url"))


async def claims(store: SessionStore) -> None:
    claim = claim_of("a token")
    assert await store.take("a token") is None
    assert await store.write(claim, b"one")
    taken = await asyncio.gather(*(store.take("a token") for _ in range(3)))
    newest = max((one for one in taken if one), key=lambda one: one[0].epoch)
    assert newest[1] == b"one"
    assert not await store.write(claim, b"two"), "its writer has lost it"
    assert await store.take("another token") is None
    assert await store.write(newest[0], b"three")
    await store.forget(claim)
    again = await store.take("a token")
    assert again is not None
    assert again[1] == b"three"
    assert again[0].epoch > newest[0].epoch
    assert not await store.write(newest[0], b"four")
    await store.forget(again[0])
    assert await store.take("a token") is None


def test_a_record_belongs_to_who_claimed_it_last(place: str) -> None:
    async def run() -> None:
        store = open_store(place, 60.0)
        await claims(store)
        await store.close()

    asyncio.run(run())


def test_what_nobody_touches_is_forgotten(place: str) -> None:
    async def run() -> None:
        store = open_store(place, 2.0)
        kept, lost = claim_of("kept"), claim_of("lost")
        await store.write(lost, b"lost")
        for _ in range(10):
            await store.write(kept, b"kept")
            await store.touch(kept)
            await asyncio.sleep(0.25)
        assert await store.take("lost") is None
        assert await store.take("kept") is not None
        await store.close()

    asyncio.run(run())


def test_files_are_for_their_owner_and_do_not_tell_the_token(tmp_path: Path) -> None:
    asyncio.run(open_store(str(tmp_path / "store"), 60.0).write(claim_of("a token"), b"one"))
    (file,) = (tmp_path / "store").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert "token" not in file.name


def test_a_store_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="folder"):
        open_store(str(tmp_path / "file"), 60.0)
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        asyncio.run(open_store("redis://127.0.0.1:1/0", 60.0).take("x"))
