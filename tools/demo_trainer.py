"""How the demo model learns: one step of the optimizer on one batch, by RNN-T and CTC losses."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer
import torch
from demo_augment import mask_features, warp_vocal_tract
from demo_batches import Batch
from demo_corpus import Utterance
from demo_decoding import greedy_batch
from demo_features import HOP, SEGMENT, Frontend
from demo_labels import frame_labels, label_loss
from demo_model import build, load_model, write_model
from rnnt_loss import rnnt_loss
from torch import Tensor

WARM_UP = 0.03
"""Share of the training in which the learning rate rises."""
FULL_STRENGTH = 0.6
"""Strength of the perturbations in the second half of the training."""
LABEL_WEIGHT = 8.0
"""Weight of the labels of single frames at the beginning; it falls to zero at `LABELS_UNTIL` of the training."""
LABELS_UNTIL = 0.9
LABELS_ALONE = 0.2
"""Share of the training in which there is no other loss: with them the model stays on the plateau of blanks."""
FAST_EMIT = 0.01
"""See `rnnt_loss`."""


def strength(progress: float) -> float:
    """How strongly inputs are perturbed, from 0 to 1."""
    return FULL_STRENGTH * min(1.0, 2 * progress)


@dataclass(frozen=True, slots=True)
class Losses:
    """Mean losses of one batch, in nats a token and (labels) nats a frame; NaN where a batch has none."""

    rnnt: float
    ctc: float
    label: float


class Trainer:
    """Model, auxiliary label head and optimizer, and how they learn from a batch.

    Args:
        config: keyword arguments of `emformer_rnnt_model`.
        frontend: the features.
        pieces: the SentencePiece processor.
        peak: largest learning rate.
        ctc_weight: weight of a CTC loss on the label head beside the RNN-T loss, once there are no labels any more.
        bfloat16: compute the encoder in bfloat16; losses and weights stay in float32.
    """

    def __init__(
        self,
        config: dict[str, Any],
        frontend: Frontend,
        pieces: Any,
        peak: float,
        ctc_weight: float = 0.0,
        bfloat16: bool = False,
    ) -> None:
        """Build everything with fresh weights."""
        self.config, self.frontend, self.pieces, self.peak = config, frontend, pieces, peak
        self.ctc_weight, self.bfloat16 = ctc_weight, bfloat16
        self.model = build(config)
        self.label_head = torch.nn.Linear(config["encoding_dim"], config["num_symbols"])
        self.parameters = [*self.model.parameters(), *self.label_head.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=peak, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
        self.step, self.minutes = 0, 0.0
        self.warm = False

    def rate(self, progress: float) -> float:
        """One cycle: a linear rise and a cosine fall to zero at `progress` 1."""
        if progress < WARM_UP:
            return self.peak * progress / WARM_UP
        return self.peak * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - WARM_UP) / (1 - WARM_UP))))

    def features(self, batch: Batch, rng: Any, amount: float) -> tuple[Tensor, Tensor]:
        """Perturbed features `(batch, 16 * segments + 4, 80)` and the frames of each stream, a multiple of 16."""
        windowed = rng.random() < 0.3
        features = self.frontend.windowed(batch.waveforms) if windowed else self.frontend.continuous(batch.waveforms)
        factors = torch.tensor(1 + amount * rng.uniform(-0.14, 0.16, size=len(features)), dtype=torch.float32)
        features = warp_vocal_tract(features, factors)
        if rng.random() < amount:
            features = mask_features(features, rng)
        return features, torch.tensor([-(-samples // (SEGMENT * HOP)) * SEGMENT for samples in batch.samples])

    def learn(self, batch: Batch, rng: Any, progress: float) -> Losses:
        """One step of the optimizer: labels of frames first, then RNN-T loss too; books by CTC alone."""
        torch.manual_seed(self.step)
        features, lengths = self.features(batch, rng, strength(progress))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            encodings, frames = self.model.transcribe(features, lengths)
        encodings = encodings.float()
        targets = [torch.tensor(ids, dtype=torch.long) for ids in self.pieces.encode(batch.transcripts)]
        counts = torch.tensor([len(ids) for ids in targets])
        padded = torch.nn.utils.rnn.pad_sequence(targets, batch_first=True)
        blank = self.config["num_symbols"] - 1
        scores = self.label_head(encodings).log_softmax(dim=2)
        rnnt, ctc, label = (torch.full((), math.nan) for _ in Losses.__dataclass_fields__)
        loss = torch.zeros(())
        if not batch.spans or (self.warm and self.ctc_weight):
            ctc = torch.nn.functional.ctc_loss(
                scores.transpose(0, 1), padded, frames, counts, blank=blank, zero_infinity=True
            )
            loss = self.ctc_weight * ctc if batch.spans else ctc
        if batch.spans and progress < LABELS_UNTIL and not self.warm:
            label = label_loss(scores, frame_labels(batch.spans, scores.shape[1], self.pieces, blank))
            loss = LABEL_WEIGHT * (1 - progress / LABELS_UNTIL) * label
        if batch.spans and (self.warm or progress >= LABELS_ALONE):
            history = torch.nn.functional.pad(padded, (1, 0), value=blank)
            predictions, _, _ = self.model.predict(history, counts + 1, None)
            logits, _, _ = self.model.join(encodings, frames, predictions, counts + 1)
            losses = rnnt_loss(logits, padded, frames, counts, blank=blank, fast_emit=FAST_EMIT)
            rnnt = (losses.sum() / max(1, int(counts.sum()))).float()
            loss = loss + rnnt
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.parameters, 2.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(progress)
        self.optimizer.step()
        self.step += 1
        return Losses(float(rnnt.detach()), float(ctc.detach()), float(label.detach()))

    def word_error_rate(self, utterances: list[Utterance]) -> float:
        """Greedy WER with the encoder's chunk masks, which equals streaming with the continuous frontend."""
        self.model.eval()
        tokens = greedy_batch(self.model, self.frontend, utterances)
        self.model.train()
        return float(jiwer.wer([utterance.transcript for utterance in utterances], self.pieces.decode(tokens)))

    def save(self, out: Path) -> None:
        """Write the delivered files and all that a resumed run needs."""
        write_model(self.model, self.config, out)
        state = {
            "model": self.model.state_dict(),
            "label_head": self.label_head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "minutes": self.minutes,
        }
        torch.save(state, out / "training.pt.part")
        (out / "training.pt.part").replace(out / "training.pt")

    def start_from(self, folder: Path) -> None:
        """Begin with the weights of a delivered model, which needs no labels of frames any more."""
        self.model.load_state_dict(load_model(folder).state_dict())
        self.warm = True

    def resume(self, path: Path) -> None:
        """Go on from what `save` wrote."""
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.label_head.load_state_dict(state["label_head"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.minutes = state["step"], state["minutes"]
