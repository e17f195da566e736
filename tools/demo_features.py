"""The features of torchaudio's LibriSpeech bundle, in batches: 80 log-mel energies every 10 ms, normalised."""

import json
import math
from pathlib import Path

import torch
from torch import Tensor

from emf.export.torchaudio_loader import load_torchaudio

SAMPLE_RATE = 16000
HOP = 160
SEGMENT = 16
"""Frames of one streaming segment."""
RIGHT_CONTEXT = 4
"""Frames of right context after each segment."""
WINDOW = (SEGMENT + RIGHT_CONTEXT) * HOP
"""Samples that torchaudio's streaming extractor looks at for one segment."""


class Frontend(torch.nn.Module):
    """Waveform to normalised log-mel features.

    Args:
        mean: mean of each mel channel, `(80,)`.
        invstddev: reciprocal standard deviation of each mel channel, `(80,)`.
    """

    mean: Tensor
    invstddev: Tensor

    def __init__(self, mean: Tensor, invstddev: Tensor) -> None:
        """Take the statistics; the rest is the bundle's."""
        super().__init__()
        torchaudio = load_torchaudio()
        self.mel = torchaudio.transforms.MelSpectrogram(sample_rate=SAMPLE_RATE, n_fft=400, n_mels=80, hop_length=HOP)
        self.gain = torchaudio.pipelines.rnnt_pipeline._gain
        self.register_buffer("mean", mean)
        self.register_buffer("invstddev", invstddev)

    @classmethod
    def load(cls, path: Path) -> "Frontend":
        """Read the statistics from torchaudio's JSON form."""
        stats = json.loads(path.read_text())
        return cls(torch.tensor(stats["mean"]), torch.tensor(stats["invstddev"]))

    def log_mel(self, waveforms: Tensor) -> Tensor:
        """`(..., samples)` in [-1, 1] to `(..., 1 + samples // 160, 80)`, before normalisation."""
        energies: Tensor = self.mel(waveforms).transpose(-1, -2) * self.gain
        return torch.where(energies > math.e, energies.clamp(min=1.0).log(), energies / math.e)

    def forward(self, waveforms: Tensor) -> Tensor:
        """`(..., samples)` to normalised features `(..., 1 + samples // 160, 80)`."""
        normalised: Tensor = (self.log_mel(waveforms) - self.mean) * self.invstddev
        return normalised

    def continuous(self, waveforms: Tensor) -> Tensor:
        """Features of the unbroken stream for a whole number of segments.

        Args:
            waveforms: `(batch, samples)`; zeros are appended up to the end of the last window.

        Returns:
            `(batch, 16 * segments + 4, 80)`.
        """
        segments = math.ceil(waveforms.shape[1] / (SEGMENT * HOP))
        frames = segments * SEGMENT + RIGHT_CONTEXT
        padded = torch.nn.functional.pad(waveforms, (0, (frames + 2) * HOP - waveforms.shape[1]))
        features: Tensor = self(padded)
        return features[:, :frames]

    def windows(self, waveforms: Tensor) -> Tensor:
        """Features of each 3200-sample window on its own, as torchaudio's streaming extractor computes them.

        Args:
            waveforms: `(batch, samples)`; zeros are appended up to the end of the last window.

        Returns:
            `(batch, segments, 21, 80)`.
        """
        segments = math.ceil(waveforms.shape[1] / (SEGMENT * HOP))
        padded = torch.nn.functional.pad(
            waveforms, (0, segments * SEGMENT * HOP + RIGHT_CONTEXT * HOP - waveforms.shape[1])
        )
        features: Tensor = self(padded.unfold(1, WINDOW, SEGMENT * HOP))
        return features

    def windowed(self, waveforms: Tensor) -> Tensor:
        """The segments of `windows` in a row, and the last right context: `(batch, 16 * segments + 4, 80)`."""
        windows = self.windows(waveforms)
        return torch.cat(
            (windows[:, :, :SEGMENT].flatten(1, 2), windows[:, -1, SEGMENT : SEGMENT + RIGHT_CONTEXT]), dim=1
        )


def statistics(frontend: Frontend, waveforms: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and reciprocal standard deviation of each mel channel over all frames of the waveforms."""
    frames = torch.cat([frontend.log_mel(waveform) for waveform in waveforms])
    return frames.mean(dim=0), frames.std(dim=0).reciprocal()
