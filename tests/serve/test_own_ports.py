"""Ports of single protocols: who may come in, and where."""

import asyncio
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from emf.runtime.errors import UsageError
from emf.serve.access.keys import Account, Keys
from emf.serve.options import ServeOptions
from emf.serve.own_ports import bind_own_ports
from emf.serve.protocols import PROTOCOLS
from tests.serve.live_server import live_server

ALL = tuple(PROTOCOLS)
KEY = "a-key-of-some-length"


def test_addresses() -> None:
    options = ServeOptions(protocols=ALL, sherpa_port=0, wyoming_port=0, tls_cert=Path("c"), tls_key=Path("k"))
    ports = bind_own_ports(options)
    addresses = [port.address(options).rpartition(":")[0] for port in ports]
    for port in ports:
        port.bound.close()
    assert addresses == ["wss://127.0.0.1", "tcp://127.0.0.1"], "Wyoming cannot be encrypted"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (ServeOptions(protocols=("emf",), vosk_port=0), "--protocols"),
        (ServeOptions(protocols=ALL, wyoming_port=0, host="0.0.0.0"), "--insecure"),
    ],
)
def test_ports_that_make_no_sense(options: ServeOptions, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        bind_own_ports(options)


def test_strangers_come_in_by_wyoming_only_if_that_is_wanted() -> None:
    (port,) = bind_own_ports(ServeOptions(protocols=ALL, wyoming_port=0, host="0.0.0.0", insecure=True))
    port.bound.close()


@pytest.mark.parametrize("protocol", ["vosk", "sherpa"])
def test_a_key_is_needed_at_every_port(tiny_artifact: Path, protocol: str) -> None:
    async def run(url: str) -> int:
        async with connect(f"{url}/?api_key={KEY}"):
            pass
        with pytest.raises(InvalidStatus) as refused:
            await connect(url)
        return refused.value.response.status_code

    keys = Keys([(KEY, Account("somebody"))])
    with live_server(tiny_artifact, keys=keys, vosk_port=0, sherpa_port=0) as server:
        assert asyncio.run(run(f"ws://127.0.0.1:{server.ports[protocol]}")) == 401
