"""torchaudio's `RNNTBeamSearch` as a baseline for `emf-bench`, measured chunk by chunk."""

import time
from pathlib import Path

import torch

from emf.export.model import load_checkpoint
from emf.export.reference import Reference, windows
from emf.runtime.bench import Measurements
from emf.runtime.recognizer import Recognizer
from emf.runtime.session import FloatArray


class TorchaudioBaseline:
    """torchaudio's documented streaming loop: extractor, `transcribe_streaming`, beam search."""

    def __init__(self, reference: Reference) -> None:
        """Wrap the reference implementation."""
        self._reference = reference
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


def open_torchaudio(
    recognizer: Recognizer, checkpoint: str, config: str | None, beam_width: int, num_threads: int
) -> TorchaudioBaseline:
    """Open the baseline for the model of `recognizer`'s artifact; see `emf.runtime.bench.BaselineFactory`."""
    torch.set_num_threads(num_threads)
    source = load_checkpoint(checkpoint, Path(config) if config else None, recognizer.transducer.manifest)
    return TorchaudioBaseline(Reference(source, beam_width))
