"""One WebSocket of a client of vosk-server, which sends a message of audio only when the last one was answered."""

import asyncio

import msgspec
from msgspec.structs import replace
from starlette.websockets import WebSocket

from emf.runtime.audio.samples import check_sample_rate
from emf.runtime.errors import AudioError, EmfError
from emf.serve.access.gate import Admission
from emf.serve.pool.stream_pool import StreamWishes
from emf.serve.service.service import Service
from emf.serve.session.audio_format import AudioFormat, Encoding
from emf.serve.session.events import Ended, Event, Failed, FailureCode, Final, Flushed, Partial, Settled
from emf.serve.session.session import Session
from emf.serve.session.settings import SessionSettings
from emf.serve.sockets.conversing import close_websocket, converse
from emf.serve.sockets.reader import SocketReader
from emf.serve.vosk import messages
from emf.serve.vosk.answers import Answers
from emf.serve.vosk.wav_header import without_wav_header

PROTOCOL = "vosk"
_SAMPLE_BYTES = 2
_DEFAULT_RATE = 8000


class Connection:
    """Answers each message of audio once, in order, and the end with all that is left.

    Clients wait for the answer, so it comes as soon as nothing is left to decode before more audio comes. From a client
    that does not wait, several messages are decoded before the session is asked again.
    """

    def __init__(self, websocket: WebSocket, service: Service) -> None:
        self._websocket, self._service = websocket, service
        self._reader = SocketReader(websocket)
        self._heard = self._answered = 0
        self._asked = False

    async def run(self, admission: Admission) -> None:
        """Serve an accepted connection to its end."""
        if admission.over_quota:
            message = "expected fewer streams with this key; end one, then try again"
            await self._refuse(FailureCode.OVER_QUOTA, message)
            return
        try:
            begun = await self._begin(admission)
        except msgspec.MsgspecError as error:
            await self._refuse(FailureCode.BAD_REQUEST, f"expected a config, audio or an end ({error})")
            return
        except EmfError as error:
            await self._refuse(FailureCode.BAD_REQUEST, str(error))
            return
        except TimeoutError:
            await self._refuse(FailureCode.IDLE, "expected a config or audio, found none")
            return
        if begun is None:
            return
        config, first = begun
        session = self._service.open_session(PROTOCOL, admission, _settings(config))
        try:
            await converse(self._websocket, self._read(session, first), self._answer(session, Answers(config)))
        finally:
            await self._service.close_session(session)

    async def _begin(self, admission: Admission) -> tuple[messages.Config, str | bytes] | None:
        """The configuration, and the first message that is none; `None` where the connection ended before.

        A client that waits for long, such as a telephone that rings, gives its place back meanwhile.

        Raises:
            TimeoutError: nothing came for too long.
            MsgspecError: what came makes no sense.
            EmfError: the configuration makes no sense.
        """
        config = messages.Config()
        patience = self._service.limits.start_timeout
        while True:
            try:
                async with asyncio.timeout(patience):
                    message = await self._reader.next()
            except TimeoutError:
                if not admission.place.count:
                    raise
                admission.place.give_back()
                patience = self._service.session_limits.idle_timeout
                continue
            if message is None:
                return None
            if isinstance(message, bytes):
                first = without_wav_header(message)
                return _with_rate(config, first.sample_rate), first.samples
            request = messages.decode(message)
            if request.config is None:
                return config, message
            config = request.config
            _settings(config)

    async def _read(self, session: Session, first: str | bytes) -> None:
        self._take(session, first)
        async for message in self._reader:
            self._take(session, message)

    def _take(self, session: Session, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self._heard += 1
            session.feed(message[: len(message) // _SAMPLE_BYTES * _SAMPLE_BYTES])
            self._ask(session)
            return
        try:
            request = messages.decode(message)
        except msgspec.MsgspecError as error:
            session.fail(FailureCode.BAD_REQUEST, f"expected a config, audio or an end ({error})")
            return
        if request.ends_audio:
            session.finish()
        elif request.ends_utterance:
            session.flush(self._heard)
        elif request.config is None:
            session.fail(FailureCode.BAD_REQUEST, "expected a config, audio or an end, found none of them")
        else:
            session.touch()  # too late to be of consequence, as with the original

    def _ask(self, session: Session) -> None:
        if not self._asked and self._heard > self._answered:
            self._asked = True
            session.settle(self._heard)

    async def _answer(self, session: Session, answers: Answers) -> Failed | None:
        while (event := await session.take()) is not None:
            await self._handle(event, session, answers)
            if isinstance(event, Failed):
                return event
        return None

    async def _handle(self, event: Event, session: Session, answers: Answers) -> None:
        match event:
            case Partial() | Final():
                answers.take(event)
            case Settled(int(count)):
                while self._answered < count:
                    await self._send(answers.next())
                self._asked = False
                self._ask(session)
            case Flushed(int(count)):
                await self._send_last(answers, count)
            case Ended():
                await self._send_last(answers, self._heard)
            case Failed(FailureCode.RESTARTING) if answers.has_finals:
                await self._send_last(answers, self._heard)

    async def _send_last(self, answers: Answers, count: int) -> None:
        """Answer the messages that still wait, then say all that was said since the last result."""
        while self._answered < count:
            await self._send(answers.partial())
        await self._websocket.send_text(messages.encode(answers.final()))

    async def _send(self, answer: messages.Partial | messages.Result | messages.Alternatives) -> None:
        self._answered += 1
        await self._websocket.send_text(messages.encode(answer))

    async def _refuse(self, code: str, message: str) -> None:
        self._service.counters.failed(code)
        await close_websocket(self._websocket, Failed(code, message))


def _with_rate(config: messages.Config, rate: int | None) -> messages.Config:
    """The configuration with the rate that the audio's header names.

    Raises:
        AudioError: the client has named another, or it is impossible.
    """
    if rate is None or rate == config.sample_rate:
        return config
    if config.sample_rate is not None:
        raise AudioError(f"expected one sample rate, found {config.sample_rate:g} and a WAV header with {rate}")
    return replace(config, sample_rate=check_sample_rate(rate))


def _settings(config: messages.Config) -> SessionSettings:
    """What a client asks for.

    Raises:
        EmfError: an impossible rate.
    """
    rate = check_sample_rate(_DEFAULT_RATE if config.sample_rate is None else config.sample_rate)
    form = AudioFormat(Encoding.PCM_S16LE, rate)
    return SessionSettings(form, StreamWishes(config.phrases, forgiving=True))
