"""How often streams are written down: often enough that little is decoded again, seldom enough to cost little."""

from dataclasses import dataclass

_FIRST_GUESS = 0.005
_NEW = 0.1
"""Weight of a new measurement."""


@dataclass(slots=True)
class Pace:
    """Seconds of audio between two snapshots of a stream.

    All streams of a worker together spend at most `share` of a processor on snapshots, as measured. Until that limit,
    each is written down every `shortest` seconds.

    Attributes:
        share: of a processor.
        shortest: seconds of audio.
        longest: seconds of audio, whatever it costs: it is what is decoded again.
        seconds: of a processor that a snapshot takes, as measured.
    """

    share: float = 0.02
    shortest: float = 2.0
    longest: float = 30.0
    seconds: float = _FIRST_GUESS

    def measured(self, seconds: float) -> None:
        """Take the time of a snapshot."""
        self.seconds += _NEW * (seconds - self.seconds)

    def interval(self, streams: int) -> float:
        """Seconds of audio between two snapshots where so many streams are decoded."""
        return min(max(streams * self.seconds / self.share, self.shortest), self.longest)
