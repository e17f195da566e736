"""How one session decodes its audio."""

from dataclasses import dataclass, field

from emf.serve.pool.stream_pool import NO_WISHES, StreamWishes
from emf.serve.session.audio_format import AudioFormat


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How a session decodes its audio.

    Attributes:
        form: of the audio.
        wishes: for its streams.
        kept_every: seconds of audio after which `Kept` comes again.
        saved_every: seconds of audio after which `Saved` comes again; `None` for never.
    """

    form: AudioFormat = field(default_factory=AudioFormat)
    wishes: StreamWishes = NO_WISHES
    kept_every: float = 1.0
    saved_every: float | None = None
