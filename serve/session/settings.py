"""How one session decodes its audio."""

from dataclasses import dataclass, field

from emf.runtime.recognition.endpoint import EndpointRules
from emf.serve.pool.stream_pool import NO_WISHES, StreamWishes
from emf.serve.session.audio_format import AudioFormat

UNBROKEN = EndpointRules(silence_before_speech=10.0, silence_after_speech=10.0, max_length=300.0)
"""For audio of which nothing has to be final before it ends, such as a recording. At an endpoint the search drops the
hypotheses that contradict what was said so far; without one it decides as for `Recognizer.transcribe`. Very long audio
still has segments, so that a step never costs more than it does after minutes."""


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
