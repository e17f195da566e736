"""The state of a session as a value: what another server needs to go on with it."""

from msgspec import Struct


class SavedTrack(Struct, frozen=True):
    """One transcribed channel; see `Track`. Times are seconds of the session.

    Attributes:
        fed: audio that the snapshot holds.
        base: begin of the stream that the snapshot is of.
        first_segment: number of its first segment.
        next_segment: number behind the last segment that was told to its end.
        texts: of the streams that have ended.
        tokens: of the told segments of the stream.
        snapshot: of the stream; `None` where there is none.
    """

    fed: float
    base: float
    first_segment: int
    next_segment: int
    texts: list[str]
    tokens: list[int]
    snapshot: bytes | None


class SavedSession(Struct, frozen=True):
    """A session between two pieces of audio.

    Attributes:
        frames: samples of each channel that it holds.
        tracks: of each transcribed channel.
    """

    frames: int
    tracks: list[SavedTrack]
