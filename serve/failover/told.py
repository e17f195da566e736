"""What was told of a stream, so that a stream that goes on elsewhere says nothing twice and takes nothing back."""

from dataclasses import dataclass, field, replace

from emf.runtime.recognition.result import Result


@dataclass(slots=True)
class Told:
    """The last result that was told of a stream. Decoding is repeatable: what comes again says the same.

    Attributes:
        contradictions: results whose stable text took back what was told before.
    """

    contradictions: int = 0
    _last: Result | None = field(default=None, init=False)

    @property
    def is_midway(self) -> bool:
        """Whether something was told, and not yet all."""
        return self._last is not None and not self._last.is_final

    def take(self, result: Result) -> Result | None:
        """The result as it is to be told; `None` where that was told before."""
        last = self._last
        if last is not None:
            if _position(result) <= _position(last):
                return None
            if result.segment == last.segment and not result.stable_text.startswith(last.stable_text):
                self.contradictions += 1
                result = _holding(result, last.stable_text)
        self._last = result
        return result


def _position(result: Result) -> tuple[int, bool, float]:
    return result.segment, result.ends_segment, result.end_time


def _holding(result: Result, stable: str) -> Result:
    """A result that begins with text told before."""
    text = result.text if result.text.startswith(stable) else stable
    return replace(result, text=text, stable_text=text if result.ends_segment else stable)
