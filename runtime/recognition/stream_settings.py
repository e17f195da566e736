"""What all streams of a recognizer share."""

from collections.abc import Mapping
from dataclasses import dataclass

from emf.runtime.artifact.manifest import Manifest, fingerprint
from emf.runtime.audio.features import FeatureExtractor, feature_extractor
from emf.runtime.inference.instrument import Instrument
from emf.runtime.recognition.options import RecognizerOptions


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What all streams of a recognizer share.

    Attributes:
        extractor: turns audio into the encoder's steps.
        sample_rate: the model's, in Hz.
        frames_per_step: encoder frames that a step gives.
        tail_padding: silence to append when the audio ends, seconds.
        stable_frames: encoder frames after which a disputed token is settled; `None` is never.
        identity: what a snapshot can be restored into.
        segments: segments of a stream that the encoder can take in one pass.
        catch_up: it does so with every stream that is that far behind.
    """

    extractor: FeatureExtractor
    sample_rate: int
    frames_per_step: int
    tail_padding: float
    stable_frames: int | None
    identity: Mapping[str, str]
    segments: int = 1
    catch_up: bool = False


def stream_settings(
    manifest: Manifest, options: RecognizerOptions, instrument: Instrument | None = None
) -> StreamSettings:
    """Settings for the variant of an artifact that the options choose."""
    mode, delay, tail_padding = (
        options.frontend or manifest.frontend.default,
        options.stable_delay,
        options.tail_padding,
    )
    extractor = feature_extractor(mode, manifest.frontend, manifest.geometry)
    if instrument is not None:
        extractor = instrument.around_features(extractor)
    if tail_padding is None:
        tail_padding = manifest.frontend.tail_padding if mode == "continuous" else 0.0
    return StreamSettings(
        extractor=extractor,
        sample_rate=manifest.frontend.sample_rate,
        frames_per_step=manifest.geometry.frames_per_step,
        tail_padding=tail_padding,
        stable_frames=None if delay is None else round(delay / manifest.seconds_per_frame),
        identity={
            "model": fingerprint(manifest),
            "precision": options.variant(manifest).precision,
            "frontend": mode,
        },
        segments=_segments(manifest, options),
        catch_up=options.catch_up,
    )


def _segments(manifest: Manifest, options: RecognizerOptions) -> int:
    passes = manifest.variant(options.variant(manifest))["encoder"].passes
    return 1 if passes is None else passes.segments
