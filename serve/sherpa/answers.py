"""Which results a client of sherpa-onnx gets for a session's events."""

from collections.abc import Iterator

from msgspec.structs import replace

from emf.serve.session.events import Ended, Event, Final, Partial
from emf.serve.sherpa.messages import Result, result_of


class Answers:
    """Results of one connection, numbered as its clients want them: a segment that said nothing takes no number."""

    def __init__(self) -> None:
        self._segment = 0
        self._last: Result | None = None
        """A final result that may be the last, which is sent as such."""

    def of(self, event: Event, input_finished: bool) -> Iterator[Result]:
        """The results to send now.

        Args:
            event: of the session.
            input_finished: the client has said that no more audio comes.
        """
        if self._last is not None and isinstance(event, Partial | Final):
            yield self._last
            self._last = None
        match event:
            case Partial(passage=passage):
                yield result_of(passage, self._segment, False)
            case Final(passage=passage, flushed=flushed):
                result = result_of(passage, self._segment, True)
                self._segment += bool(passage.text)
                if flushed and input_finished:
                    self._last = result
                else:
                    yield result
            case Ended():
                last = self._last or Result("", [], [], [], self._segment, 0.0, is_final=True)
                yield replace(last, is_eof=True)
