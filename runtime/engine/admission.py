"""What an engine accepts: streams up to its capacity, audio up to its limits."""

from emf.runtime.engine.meter import Meter
from emf.runtime.engine.options import EngineOptions
from emf.runtime.engine.slot import Slot, SlotPhase
from emf.runtime.errors import Overloaded, StreamClosed, UsageError


class Admission:
    """Refuses with the caller's error. It has no lock: the scheduler calls it under its own.

    Attributes:
        takes_streams: false from the moment the engine is closed.
        takes_audio: false once the grace of closing is over.
    """

    def __init__(self, options: EngineOptions, period: float, meter: Meter) -> None:
        """Accept streams and audio.

        Args:
            options: the limits.
            period: length of a segment, seconds: the audio of a waiting chunk.
            meter: measures the capacity, counts refusals.
        """
        self.takes_streams = self.takes_audio = True
        self._period, self._meter = period, meter
        self._max_queue, self._max_total_queue = options.max_queue_ms / 1e3, options.max_total_queue_ms / 1e3
        self._idle_timeout = options.idle_timeout_ms / 1e3

    def check_stream(self, num_streams: int, now: float) -> None:
        """Refuse a stream beside `num_streams` others, if there is no slot for it.

        Raises:
            Overloaded: the engine is full.
            StreamClosed: the engine is closing.
        """
        if not self.takes_streams:
            raise StreamClosed("the engine is closed and takes no more streams")
        capacity = self._meter.capacity(num_streams, now)
        if num_streams >= capacity:
            self._meter.counts.refused += 1
            raise Overloaded(f"expected at most {capacity} streams at once, found one more; try again later")

    def check_length(self, seconds: float) -> None:
        """Refuse audio longer than a whole queue: waiting would not help. Needs no lock.

        Raises:
            UsageError: the audio is too long.
        """
        if seconds > self._max_queue:
            raise UsageError(
                f"expected at most {self._max_queue:g} seconds of audio at once, found {seconds:g}; cut it"
            )

    def check_audio(self, slot: Slot, seconds: float, total_chunks: int) -> None:
        """Refuse audio of a stream that takes none any more, or finds no room.

        Args:
            slot: the stream.
            seconds: length of the audio.
            total_chunks: chunks of all streams that wait to be decoded.

        Raises:
            StreamClosed: no audio came for too long, the stream was released, or the engine is closing.
            Overloaded: too much audio waits.
        """
        if slot.timed_out:
            raise StreamClosed(f"no audio came for {self._idle_timeout:g} seconds: the stream was finished")
        if slot.phase is SlotPhase.RELEASED or not self.takes_audio:
            raise StreamClosed("the stream is closed and takes no more audio")
        queued, total = len(slot.chunks.waiting) * self._period, total_chunks * self._period
        if queued + seconds > self._max_queue or total + seconds > self._max_total_queue:
            raise Overloaded(
                f"{queued:.1f} seconds of this stream and {total:.1f} of all wait to be decoded; try again "
                "later, or pass a timeout to wait for room"
            )
