"""One WebSocket of the realtime protocol."""

import asyncio
import time
from contextlib import suppress
from secrets import token_hex

from starlette.websockets import WebSocket, WebSocketDisconnect

from emf.serve.access.credentials import subprotocols
from emf.serve.access.gate import Admission
from emf.serve.openai import client_messages as client
from emf.serve.openai.client_messages import BadMessage
from emf.serve.openai.client_secrets import settings_of_key
from emf.serve.openai.server_messages import Error, ErrorDetails, encode
from emf.serve.openai.session_config import SessionConfig
from emf.serve.openai.session_messages import audio_format
from emf.serve.openai.turns import ClearRequest, CommitRequest, Problem, Turns, Updated
from emf.serve.service.service import Service
from emf.serve.session.events import Failed
from emf.serve.session.session import Session
from emf.serve.session.settings import SessionSettings
from emf.serve.sockets.closing import CloseCode, close_code, reason
from emf.serve.sockets.reader import SocketReader

PROTOCOL = "openai"
SUBPROTOCOL = "realtime"
_BETA_SUBPROTOCOL = "openai-beta.realtime-v1"
_BETA_HEADER = "realtime=v1"
_ALIVE_SECONDS = 0.3
"""Share of the idle limit after which a connection counts as alive."""


class Connection:
    """Reads the client's messages and writes the session's answers, each at its own pace.

    The protocol has no message by which a silent client says that it is there. It answers pings; where it does not,
    the server closes the connection. So an open connection is never idle.
    """

    def __init__(self, websocket: WebSocket, service: Service) -> None:
        self._websocket, self._service = websocket, service
        self._reader = SocketReader(websocket)
        self._is_beta = is_beta(websocket)
        lifetime = service.session_limits.max_session
        config = SessionConfig(f"sess_{token_hex(10)}", int(time.time() + lifetime))
        named = config.named(websocket.query_params.get("model") or service.pool.facts.name)
        self._config = named.updated(settings_of_key(service, websocket))
        self._turns = Turns(self._config, self._is_beta)
        self._failure: Failed | None = None

    async def run(self, admission: Admission) -> None:
        """Serve an accepted connection to its end."""
        if admission.over_quota:
            await self._refuse("expected fewer streams with this key; end one, then try again")
            return
        settings = SessionSettings(audio_format(self._config.form), self._config.wishes)
        session = self._service.open_session(PROTOCOL, admission, settings)
        reading = asyncio.create_task(self._read(session))
        others = [asyncio.create_task(self._write(session)), asyncio.create_task(self._keep_alive(session))]
        try:
            await asyncio.wait([reading, others[0]], return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_open = not reading.done()
            for task in (reading, *others):
                task.cancel()
            await self._service.close_session(session)
        if is_open:
            code = CloseCode.DONE if self._failure is None else close_code(self._failure.code)
            await self._close(code, "" if self._failure is None else self._failure.message)
        for task in (reading, *others):
            if task.done() and not task.cancelled():
                task.result()

    async def _read(self, session: Session) -> None:
        async for received in self._reader:
            try:
                self._handle(client.decode(received), session)
            except BadMessage as bad:
                details = ErrorDetails("invalid_request_error", bad.code, str(bad), bad.param, bad.event_id)
                session.note(Problem(details))

    def _handle(self, message: client.ClientMessage, session: Session) -> None:
        match message:
            case client.Append(audio):
                session.feed(audio)
            case client.Commit(event_id):
                self._turns.requests += 1
                session.flush(CommitRequest(session.audio_seconds, event_id))
            case client.Clear():
                self._turns.requests += 1
                session.flush(ClearRequest(session.audio_seconds))
            case client.SessionUpdate(patch) | client.BetaSessionUpdate(patch):
                self._is_beta = self._is_beta or isinstance(message, client.BetaSessionUpdate)
                self._update(self._config.updated(patch), session)

    def _update(self, config: SessionConfig, session: Session) -> None:
        """Take other settings; if they change how audio is decoded, the text of what came before is complete then."""
        before, self._config = self._config, config
        updated = Updated(config, self._is_beta)
        if (before.wishes, before.form) == (config.wishes, config.form):
            session.note(updated)
            return
        session.change(config.wishes, audio_format(config.form) if config.form != before.form else None)
        session.flush(updated)

    async def _write(self, session: Session) -> None:
        with suppress(WebSocketDisconnect):
            await self._websocket.send_text(encode(self._turns.begin()))
            while (event := await session.take()) is not None:
                for message in self._turns.take(event):
                    await self._websocket.send_text(encode(message))
                if isinstance(event, Failed):
                    self._failure = event

    async def _keep_alive(self, session: Session) -> None:
        while True:
            await asyncio.sleep(_ALIVE_SECONDS * self._service.session_limits.idle_timeout)
            session.touch()

    async def _refuse(self, message: str) -> None:
        details = ErrorDetails("rate_limit_error", "rate_limit_exceeded", message)
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._websocket.send_text(encode(Error(f"event_{token_hex(10)}", details)))
        await self._close(CloseCode.POLICY, message)

    async def _close(self, code: CloseCode, message: str) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):  # the client was faster
            await self._websocket.close(code, reason(message))


def is_beta(websocket: WebSocket) -> bool:
    """Whether a client asks for the shapes of the beta."""
    return _BETA_HEADER in websocket.headers.get("openai-beta", "") or _BETA_SUBPROTOCOL in subprotocols(websocket)
