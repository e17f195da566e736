"""torchaudio's `RNNTBeamSearch` in PyTorch, in each of the ways PyTorch offers to make it quicker on a CPU.

`emf-bench --compare` and `emf-report --checkpoint` find these through the entry points of `emf.baselines`.
"""

import contextlib
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from emf.export.model import load_checkpoint
from emf.export.parity.reference import Reference, windows
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.measure.latency import Measurements

Arithmetic = Callable[[], contextlib.AbstractContextManager[Any]]


class TorchaudioBaseline:
    """torchaudio's documented streaming loop: extractor, `transcribe_streaming`, beam search."""

    def __init__(self, reference: Reference, arithmetic: Arithmetic = contextlib.nullcontext) -> None:
        """Wrap the reference implementation.

        Args:
            reference: the model, changed in place to measure its encoder.
            arithmetic: what surrounds every call of the model, such as `torch.autocast`.
        """
        self._reference = reference
        self._arithmetic = arithmetic
        self._encoder_seconds = 0.0
        transcribe = reference.source.rnnt.transcribe_streaming

        def timed(*arguments: object) -> object:
            begin = time.perf_counter()
            outputs = transcribe(*arguments)
            self._encoder_seconds = time.perf_counter() - begin
            return outputs

        reference.source.rnnt.transcribe_streaming = timed

    def measure(self, samples: FloatArray, measurements: Measurements) -> None:
        """Run one stream over a recording and add what was measured."""
        frontend, geometry = self._reference.source.frontend, self._reference.source.geometry
        state = hypotheses = None
        for index, window in enumerate(windows(samples, frontend, geometry)):
            begin = time.perf_counter()
            with torch.inference_mode():
                features = self._reference.extract(window)[: geometry.step_length]
                extracted = time.perf_counter()
                length = torch.tensor([len(features)])
                with self._arithmetic():
                    hypotheses, state = self._reference.decoder.infer(
                        features, length, self._reference.beam_width, state, hypotheses
                    )
            elapsed = time.perf_counter() - begin
            if index == 0:
                measurements.first_results.append(elapsed)
            measurements.chunks.append(elapsed)
            parts = {"features": extracted - begin, "encoder": self._encoder_seconds}
            measurements.components.append(parts | {"search": elapsed - sum(parts.values())})
            measurements.processing += elapsed
        measurements.audio += len(samples) / frontend.sample_rate
        measurements.tokens.append(tuple(hypotheses[0][0][1:]) if hypotheses else ())


def open_eager(
    manifest: Manifest, checkpoint: str, config: str | None, beam_width: int, num_threads: int
) -> TorchaudioBaseline:
    """PyTorch as it is; see `emf.runtime.measure.baselines.BaselineFactory` for the arguments."""
    return TorchaudioBaseline(_reference(manifest, checkpoint, config, beam_width, num_threads))


def open_bfloat16(
    manifest: Manifest, checkpoint: str, config: str | None, beam_width: int, num_threads: int
) -> TorchaudioBaseline:
    """`torch.autocast` to bfloat16."""
    reference = _reference(manifest, checkpoint, config, beam_width, num_threads)
    return TorchaudioBaseline(reference, lambda: torch.autocast("cpu", torch.bfloat16))


def open_float16(
    manifest: Manifest, checkpoint: str, config: str | None, beam_width: int, num_threads: int
) -> TorchaudioBaseline:
    """`torch.autocast` to float16."""
    reference = _reference(manifest, checkpoint, config, beam_width, num_threads)
    return TorchaudioBaseline(reference, lambda: torch.autocast("cpu", torch.float16))


def open_compiled(
    manifest: Manifest, checkpoint: str, config: str | None, beam_width: int, num_threads: int
) -> TorchaudioBaseline:
    """`torch.compile` of the encoder; predictor and joiner see another number of hypotheses in every call."""
    reference = _reference(manifest, checkpoint, config, beam_width, num_threads)
    transcriber = reference.source.rnnt.transcriber
    transcriber.infer = torch.compile(transcriber.infer)
    return TorchaudioBaseline(reference)


def open_dynamic_int8(
    manifest: Manifest, checkpoint: str, config: str | None, beam_width: int, num_threads: int
) -> TorchaudioBaseline:
    """`torch.ao.quantization.quantize_dynamic` of every linear layer."""
    reference = _reference(manifest, checkpoint, config, beam_width, num_threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations: PyTorch moves this to torchao, which is another package
        torch.ao.quantization.quantize_dynamic(  # type: ignore[no-untyped-call]
            reference.source.rnnt, {torch.nn.Linear}, torch.qint8, inplace=True
        )
    return TorchaudioBaseline(reference)


def _reference(manifest: Manifest, checkpoint: str, config: str | None, beam_width: int, num_threads: int) -> Reference:
    torch.set_num_threads(num_threads)
    return Reference(load_checkpoint(checkpoint, Path(config) if config else None, manifest), beam_width)
