"""What a client of vosk-server is answered: a result where an utterance ended, what it says so far otherwise."""

from emf.serve.session import events
from emf.serve.vosk.messages import Alternatives, Config, Partial, Result, result


class Answers:
    """The answers of one connection. Utterances that end between two answers are told as one."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._finals: list[events.Passage] = []
        self._partial = ""

    def take(self, event: events.Partial | events.Final) -> None:
        """Note what the session says."""
        if isinstance(event, events.Partial):
            self._partial = event.passage.text
        else:
            self._partial = ""
            self._finals.append(event.passage)

    @property
    def has_finals(self) -> bool:
        """Whether something was said that no result has told yet, and that does not change any more."""
        return any(passage.text for passage in self._finals)

    def partial(self) -> Partial:
        """What the open utterance says so far."""
        return Partial(self._partial)

    def next(self) -> Partial | Result | Alternatives:
        """The answer to a message of audio."""
        return self.final() if self._finals else self.partial()

    def final(self) -> Result | Alternatives:
        """What was said since the last result."""
        finals, self._finals = self._finals, []
        said = [passage for passage in finals if passage.text]
        details = said[0].details if len(said) == 1 else None
        return result(
            self._config,
            events.joined(said),
            [word for passage in said for word in passage.words],
            details.nbest if details else (),
        )
