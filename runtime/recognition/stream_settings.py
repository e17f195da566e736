"""What all streams of a recognizer share."""

from collections.abc import Mapping
from dataclasses import dataclass

from emf.runtime.artifact.manifest import Manifest, fingerprint
from emf.runtime.audio.features import FeatureExtractor, feature_extractor
from emf.runtime.errors import UsageError
from emf.runtime.inference.instrument import Instrument


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What all streams of a recognizer share.

    Attributes:
        extractor: turns audio into the encoder's steps.
        sample_rate: the model's, in Hz.
        tail_padding: silence to append when the audio ends, seconds.
        stable_frames: encoder frames after which a disputed token is settled; `None` is never.
        identity: what a snapshot can be restored into.
    """

    extractor: FeatureExtractor
    sample_rate: int
    tail_padding: float
    stable_frames: int | None
    identity: Mapping[str, str]


def stream_settings(
    manifest: Manifest,
    precision: str,
    frontend: str | None,
    tail_padding: float | None,
    stable_delay: float | None,
    instrument: Instrument | None = None,
) -> StreamSettings:
    """Settings for one variant of an artifact; the arguments are those of `Recognizer.load`.

    Raises:
        UsageError: no such frontend, or a time that makes no sense.
    """
    mode = frontend or manifest.frontend.default
    extractor = feature_extractor(mode, manifest.frontend, manifest.geometry)
    if instrument is not None:
        extractor = instrument.around_features(extractor)
    if tail_padding is None:
        tail_padding = manifest.frontend.tail_padding if mode == "continuous" else 0.0
    if not 0.0 <= tail_padding <= 60.0:
        raise UsageError(f"expected a tail padding from 0 to 60 seconds, found {tail_padding}")
    if stable_delay is not None and not 0.0 <= stable_delay <= 3600.0:
        raise UsageError(f"expected a stable delay from 0 to 3600 seconds, found {stable_delay}")
    return StreamSettings(
        extractor=extractor,
        sample_rate=manifest.frontend.sample_rate,
        tail_padding=tail_padding,
        stable_frames=None if stable_delay is None else round(stable_delay / manifest.seconds_per_frame),
        identity={"model": fingerprint(manifest), "precision": precision, "frontend": mode},
    )
