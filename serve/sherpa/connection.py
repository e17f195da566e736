"""One WebSocket of a client of sherpa-onnx."""

from starlette.websockets import WebSocket

from emf.serve.access.gate import Admission
from emf.serve.service.service import Service
from emf.serve.session.audio_format import AudioFormat, Encoding
from emf.serve.session.events import Ended, Failed, FailureCode
from emf.serve.session.session import Session
from emf.serve.session.settings import SessionSettings
from emf.serve.sherpa import messages
from emf.serve.sherpa.answers import Answers
from emf.serve.sockets.conversing import close_websocket, converse
from emf.serve.sockets.reader import SocketReader

PROTOCOL = "sherpa"
FORM = AudioFormat(Encoding.PCM_F32LE, 16_000)
"""The protocol cannot say another."""
_GOODBYE_SECONDS = 2.0
"""For the client to close the connection, as all that wait for `Done!` do."""


class Connection:
    """Reads audio up to `Done` and writes results up to `Done!`, each at its own pace."""

    def __init__(self, websocket: WebSocket, service: Service) -> None:
        self._websocket, self._service = websocket, service
        self._reader = SocketReader(websocket)
        self._input_finished = False

    async def run(self, admission: Admission) -> None:
        """Serve an accepted connection to its end."""
        if admission.over_quota:
            self._service.counters.failed(FailureCode.OVER_QUOTA)
            message = "expected fewer streams with this key; end one, then try again"
            await close_websocket(self._websocket, Failed(FailureCode.OVER_QUOTA, message))
            return
        session = self._service.open_session(PROTOCOL, admission, SessionSettings(FORM))
        try:
            await converse(self._websocket, self._read(session), self._answer(session), _GOODBYE_SECONDS)
        finally:
            await self._service.close_session(session)

    async def _read(self, session: Session) -> None:
        """Take audio; other text than the end is ignored, and so is what is no whole sample, as the original does."""
        async for message in self._reader:
            if isinstance(message, bytes):
                session.feed(message[: len(message) // FORM.bytes_per_frame * FORM.bytes_per_frame])
            elif message.strip() == messages.END:
                self._input_finished = True
                session.finish()
            else:
                session.touch()

    async def _answer(self, session: Session) -> Failed | None:
        answers = Answers()
        while (event := await session.take()) is not None:
            for result in answers.of(event, self._input_finished):
                await self._websocket.send_text(messages.encode(result))
            if isinstance(event, Ended):
                await self._websocket.send_text(messages.ENDED)
            elif isinstance(event, Failed):
                return event
        return None
