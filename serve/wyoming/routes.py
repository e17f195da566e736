"""Where clients of Wyoming are served: a TCP port, as the protocol is none of HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from starlette.routing import BaseRoute

from emf.runtime.commands.command_line import DISTRIBUTION, distribution_version
from emf.serve.access.keys import Account
from emf.serve.pool.stream_pool import ModelFacts
from emf.serve.service.service import Service
from emf.serve.wyoming.connection import Connection
from emf.serve.wyoming.messages import Attribution, Info, Model, Program


def routes(service: Service) -> Sequence[BaseRoute]:
    """None: see `handler`."""
    del service
    return []


def handler(service: Service) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """What serves each connection. The protocol has no keys: all its clients are one account."""
    account, info = Account("wyoming"), info_of(service.pool.facts)
    connections: set[Connection] = set()

    def leave_all() -> None:
        for connection in list(connections):
            connection.leave()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, service, account, info)
        connections.add(connection)
        try:
            await connection.run()
        finally:
            connections.discard(connection)

    service.before_drain.append(leave_all)
    return handle


def info_of(facts: ModelFacts) -> Info:
    """What the server says of itself and its model."""
    maker, release = Attribution(DISTRIBUTION, ""), distribution_version()
    model = Model(facts.name, maker, f"Emformer RNN-T {facts.name}", release, [facts.language])
    return Info([Program(DISTRIBUTION, maker, "Streaming speech to text", release, [model])])
