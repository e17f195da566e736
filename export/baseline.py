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

from emf.export.model import SourceModel, load_checkpoint
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


class Opener:
    """A `BaselineFactory`: opens the model and makes it quicker in one way."""

    def __init__(
        self, change: Callable[[SourceModel], None] | None = None, arithmetic: Arithmetic = contextlib.nullcontext
    ) -> None:
        """Open models so that `change` was made to them, and with `arithmetic` around every call."""
        self._change, self._arithmetic = change, arithmetic

    def __call__(
        self, manifest: Manifest, checkpoint: str, config: str | None, beam_width: int, num_threads: int
    ) -> TorchaudioBaseline:
        """Open the baseline; see `BaselineFactory`."""
        torch.set_num_threads(num_threads)
        source = load_checkpoint(checkpoint, Path(config) if config else None, manifest)
        reference = Reference(source, beam_width)
        if self._change is not None:
            self._change(source)
        return TorchaudioBaseline(reference, self._arithmetic)


def _compile_encoder(source: SourceModel) -> None:
    """`torch.compile` of the encoder; predictor and joiner see another number of hypotheses in every call."""
    source.rnnt.transcriber.infer = torch.compile(source.rnnt.transcriber.infer)


def _quantize(source: SourceModel) -> None:
    """`torch.ao.quantization.quantize_dynamic` of every linear layer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations: PyTorch moves this to torchao, which is another package
        torch.ao.quantization.quantize_dynamic(  # type: ignore[no-untyped-call]
            source.rnnt, {torch.nn.Linear}, torch.qint8, inplace=True
        )


open_eager = Opener()
open_bfloat16 = Opener(arithmetic=lambda: torch.autocast("cpu", torch.bfloat16))
open_float16 = Opener(arithmetic=lambda: torch.autocast("cpu", torch.float16))
open_compiled = Opener(_compile_encoder)
open_dynamic_int8 = Opener(_quantize)
