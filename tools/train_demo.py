"""Train the demo model on CPUs: a small Emformer-RNNT for spelled names, numbers, digits and commands.

Example:
    python tools/train_demo.py --data data --speech tts/espeak tts/kokoro --out work/demo --max-minutes 90

The learning rate follows the larger of step / total steps and elapsed / allowed minutes, so that it reaches zero
within the time given. `--out` holds the delivered files and `training.pt`, from which a killed run goes on.
"""

import argparse
import logging
import math
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from demo_batches import Batch, BatchSource
from demo_corpus import Utterance, dev_sets, load_corpora
from demo_decoding import waveform
from demo_features import Frontend, statistics
from demo_model import CONFIG, load_pieces, train_pieces, write_statistics
from demo_sentences import words_to_spell
from demo_trainer import Losses, Trainer, strength

_LOGGER = logging.getLogger("train_demo")


def train(trainer: Trainer, source: BatchSource, dev: dict[str, list[Utterance]], options: argparse.Namespace) -> None:
    """Train to the end of the schedule, logging losses and dev WER, saving every few minutes."""
    started = time.monotonic() - trainer.minutes * 60
    saved = time.monotonic()
    recent: list[Losses] = []
    progress = 0.0

    def draw(step: int, progress: float) -> tuple[Batch, np.random.Generator]:
        rng = source.random(step)
        books = progress > 0.5 and rng.random() < options.books_share
        return source.books(rng) if books else source.speech(rng, strength(progress)), rng

    pool = ThreadPoolExecutor(1)
    drawn = pool.submit(draw, trainer.step, progress)
    while True:
        trainer.minutes = (time.monotonic() - started) / 60
        progress = max(trainer.step / options.steps, trainer.minutes / options.max_minutes)
        if progress >= 1:
            break
        batch, rng = drawn.result()
        drawn = pool.submit(draw, trainer.step + 1, progress)
        recent.append(trainer.learn(batch, rng, progress))
        if trainer.step % 50 == 0:
            _LOGGER.info(
                "step %d, %.1f min, rate %.2e, %s",
                trainer.step,
                trainer.minutes,
                trainer.rate(progress),
                _means(recent),
            )
            recent = []
        if trainer.step % options.dev_every == 0:
            _log_dev(trainer, dev)
        if time.monotonic() - saved > 180:
            trainer.save(options.out)
            saved = time.monotonic()
    trainer.save(options.out)
    _log_dev(trainer, dev)


def _means(losses: list[Losses]) -> str:
    """Means of the losses over the batches that have them."""
    parts = []
    for field in fields(Losses):
        values = [value for loss in losses if not math.isnan(value := getattr(loss, field.name))]
        if values:
            parts.append(f"{field.name} {sum(values) / len(values):.3f}")
    return "losses " + ", ".join(parts)


def _log_dev(trainer: Trainer, dev: dict[str, list[Utterance]]) -> None:
    rates = ", ".join(f"{name} {100 * trainer.word_error_rate(utterances):.1f} %" for name, utterances in dev.items())
    _LOGGER.info("step %d, %.1f min, dev WER (greedy): %s", trainer.step, trainer.minutes, rates)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder of the corpora")
    parser.add_argument("--speech", type=Path, nargs="*", default=[], help="folders written by demo_voices.py")
    parser.add_argument("--alignments", type=Path, help="folder written by align_demo.py")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--initial", type=Path, help="folder of a delivered model to go on from")
    parser.add_argument("--steps", type=int, default=100000)
    parser.add_argument("--max-minutes", type=float, default=90.0)
    parser.add_argument("--peak", type=float, default=1e-3, help="largest learning rate")
    parser.add_argument("--ctc-weight", type=float, default=0.0, help="of a CTC loss beside RNN-T, with --initial")
    parser.add_argument("--bfloat16", action="store_true", help="compute the encoder in bfloat16")
    parser.add_argument("--batch-seconds", type=float, default=16.0, help="audio in one batch")
    parser.add_argument("--left-context", type=int, default=CONFIG["transformer_left_context_length"])
    parser.add_argument("--books-share", type=float, default=0.1, help="of the batches of the second half")
    parser.add_argument("--dev-every", type=int, default=500, help="steps between measurements")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    log = options.out / "training.log"
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[logging.FileHandler(log), logging.StreamHandler()]
    )
    torch.set_flush_denormal(True)  # before any worker thread starts; denormal gradients slow a step tenfold
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    corpora = load_corpora(options.data, options.speech, options.alignments)
    for name, split in corpora.items():
        minutes = [sum(item.samples.size for item in part) / 960000 for part in (split.train, split.dev)]
        _LOGGER.info("%s: %.1f min to train on, %.1f min held out", name, *minutes)
    if options.initial:
        for name in ("global_stats.json", "tokens.model", "tokens.txt"):
            shutil.copyfile(options.initial / name, options.out / name)
    if not (options.out / "global_stats.json").exists():
        speech = [item for name in ("an4", "digits", "commands") for item in corpora[name].train]
        books = [item.transcript for item in corpora["books"].train]
        words = words_to_spell(options.data / "librispeech_train" / "manifest.tsv")
        train_pieces([item.transcript for item in speech], books, words, options.out, options.seed)
        frontend = Frontend(torch.zeros(80), torch.ones(80))
        write_statistics(*statistics(frontend, [waveform(item) for item in speech[::5]]), options.out)
    config = CONFIG | {"transformer_left_context_length": options.left_context}
    frontend = Frontend.load(options.out / "global_stats.json")
    trainer = Trainer(config, frontend, load_pieces(options.out), options.peak, options.ctc_weight, options.bfloat16)
    if options.initial:
        trainer.start_from(options.initial)
    if (options.out / "training.pt").exists():
        trainer.resume(options.out / "training.pt")
        _LOGGER.info("resumed at step %d", trainer.step)
    _LOGGER.info("%d parameters", sum(parameter.numel() for parameter in trainer.model.parameters()))
    train(trainer, BatchSource(corpora, options.seed, options.batch_seconds), dev_sets(corpora), options)


if __name__ == "__main__":
    main()
