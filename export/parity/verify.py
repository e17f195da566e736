"""The check that every export ends with: PyTorch and each backend side by side, states chained."""

from emf.export.graphs.cache_format import CACHE_DTYPES
from emf.export.graphs.states import cache_format
from emf.export.model import SourceModel
from emf.export.parity.side_by_side import Progress, Side, SideBySide
from emf.export.parity.verification import Verification, WaveformVerification
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.artifact.variant import FLOAT, Variant
from emf.runtime.inference.threads import available_processors
from emf.runtime.inference.transducer import open_transducer
from emf.runtime.search.run import Advance, advance


def verify(
    source: SourceModel,
    manifest: Manifest,
    samples: FloatArray,
    atol: float,
    progress: Progress = lambda steps, _: steps,
    precision: str = FLOAT,
    search: Advance = advance,
    from_waveform: bool = False,
) -> Verification:
    """Roll the model over audio in PyTorch and in every backend of the artifact and compare everything.

    If keys and values are kept in whole units, so they are in PyTorch: the graphs must equal that, and what it changes
    is told as `Verification.drift`. If they are kept in float16, PyTorch keeps float32, and `atol` must allow for it.

    Args:
        source: the model as torchaudio runs it.
        manifest: the artifact.
        samples: mono audio at the model's rate; used whole, from the first chunk through the flush.
        atol: greatest absolute deviation allowed of any tensor.
        progress: wraps the loop over steps, of which the second argument is the number.
        precision: variant to compare.
        search: how the backends' side searches.
        from_waveform: also compare the tokens of streams that begin with our own frontend.

    Raises:
        ToleranceError: naming the first tensor that leaves the tolerance, or the backend whose
            search gives other tokens or scores than torchaudio's.
    """
    threads = available_processors()
    transducers = [open_transducer(manifest, Variant(backend, precision), threads) for backend in manifest.backends]
    cache = cache_format(transducers[0].graphs["encoder"])
    whole = SideBySide(source, manifest, samples, atol, progress, search, cache)
    units = not CACHE_DTYPES[cache].is_floating_point
    groups = [[transducer] for transducer in transducers] if units else [transducers]
    sides = [side for group in groups for side in whole.run(group, from_waveform)]
    beams = [side.beams for side in sides]
    return Verification(
        seconds=len(samples) / source.frontend.sample_rate,
        chunks=whole.num_chunks,
        num_tokens=len(sides[0].tokens),
        tokens_equal=all(beam.best_equal for beam in beams),
        score_error=max(beam.score_error for beam in beams),
        deviations={side.deviations.backend: side.deviations for side in sides},
        ties=tuple(tie for beam in beams for tie in beam.ties),
        waveforms=tuple(found for side in sides if (found := _waveform(side)) is not None),
        drift=whole.drift(sides) if units else None,
    )


def _waveform(side: Side) -> WaveformVerification | None:
    if side.waveform is None:
        return None
    beams = side.waveform
    return WaveformVerification(
        side.deviations.backend, beams.best_equal, beams.score_error, tuple(beams.ties), beams.mistake
    )
