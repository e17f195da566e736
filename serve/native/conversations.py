"""Sessions by their tokens: a client whose connection broke finds its own again."""

import asyncio
from collections.abc import Coroutine

from emf.serve.native.conversation import Conversation
from emf.serve.service.service import Service

_TOUCHES = 4
"""Of a record, in the time for which it is kept."""


class Conversations:
    """The sessions of the own protocol that live in this process."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._by_token: dict[str, Conversation] = {}
        self._ends: dict[Conversation, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._touching: asyncio.Task[None] | None = None
        service.before_drain.append(self.drop_lost)

    def add(self, conversation: Conversation) -> None:
        """Take in a session that has just begun."""
        self._by_token[conversation.token] = conversation
        if conversation.recorder is not None and (self._touching is None or self._touching.done()):
            self._touching = asyncio.create_task(self._touch())

    async def find(self, token: str) -> Conversation | None:
        """The session of a token, taken from the connection that had it; `None` where there is none any more."""
        conversation = self._by_token.get(token)
        if conversation is None:
            return None
        self._keep(conversation)
        if conversation.sender is not None:
            conversation.sender.cancel()
            await asyncio.wait([conversation.sender])
            conversation.sender = None
        return conversation

    def lost(self, conversation: Conversation) -> None:
        """The connection broke: wait a while for the client to come back."""
        self._keep(conversation)
        if self._service.gate.draining:
            self._begin(self.end(conversation))
            return
        if conversation.ended:  # the answers are kept, and nothing else
            self._begin(self._service.close_session(conversation.session))
            conversation.admission.close()
        loop, window = asyncio.get_running_loop(), self._service.limits.resume_window
        self._ends[conversation] = loop.call_later(window, lambda: self._begin(self.end(conversation)))

    def drop_lost(self) -> None:
        """End the sessions that wait for their clients."""
        for conversation in list(self._ends):
            self._begin(self.end(conversation))

    async def end(self, conversation: Conversation) -> None:
        """The session is over, and so is its token."""
        self._keep(conversation)
        self._by_token.pop(conversation.token, None)
        await self._service.close_session(conversation.session)
        conversation.admission.close()
        await conversation.stop_recording()
        goes_on = conversation.moved or (self._service.gate.draining and not conversation.is_done)
        if conversation.recorder is not None and not goes_on:
            await conversation.recorder.forget()

    async def _touch(self) -> None:
        """Keep the records of sessions in which nothing happens."""
        while self._by_token:
            await asyncio.sleep(self._service.limits.keep_record / _TOUCHES)
            for conversation in list(self._by_token.values()):
                if conversation.recorder is not None:
                    await conversation.recorder.touch()

    def _keep(self, conversation: Conversation) -> None:
        if timer := self._ends.pop(conversation, None):
            timer.cancel()

    def _begin(self, ending: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(ending)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
