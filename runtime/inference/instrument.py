"""How measurements look into a recognizer: by wrapping its parts as they are opened."""

from typing import Protocol

from emf.runtime.audio.features import FeatureExtractor
from emf.runtime.inference.session import Session


class Instrument(Protocol):
    """Something that has to see every call of a recognizer's parts, such as a stopwatch or a recorder.

    It sees the calls of one thread: a recognizer with an instrument does without a crew of threads.
    """

    def around_session(self, graph: str, session: Session) -> Session:
        """The session of `encoder`, `predictor` or `joiner`, or a wrapper of it."""

    def around_features(self, extractor: FeatureExtractor) -> FeatureExtractor:
        """The feature extractor, or a wrapper of it."""
