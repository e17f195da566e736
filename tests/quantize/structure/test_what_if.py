"""What-ifs as a command: what is counted, what is shown, what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest

from emf.export.model import CONVERSION
from emf.quantize.commands.report import main
from emf.quantize.report.page import what_if_page
from emf.quantize.report.report import WhatIfReport
from emf.quantize.scratch_artifact import scratch_artifact
from emf.quantize.structure import measure as measuring
from emf.quantize.structure import timing
from emf.quantize.structure.encoder import Encoder
from emf.quantize.structure.experts import times
from emf.quantize.structure.experts import trial as trials
from emf.quantize.structure.rows import WhatIf
from emf.quantize.structure.speech import REFERENCE, Said, Speech, changed_words
from emf.quantize.structure.vocabulary import KeptSymbols, symbols_of
from emf.quantize.structure.weights import EncoderWeights, read_weights
from emf.runtime.arrays import FloatArray, IdArray
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.tokens import TokenTable
from emf.runtime.errors import AudioError, UsageError
from emf.runtime.measure.decoding_used import DecodingUsed
from emf.runtime.measure.machine import describe_machine
from emf.runtime.pages.html import to_html
from emf.runtime.pages.markdown import to_markdown
from emf.runtime.search.model import Joined
from emf.runtime.speech.utterances import read_speech_manifest
from tests.quantize.structure.conftest import DECODING, WITHOUT_MIXTURES
from tests.runtime.pages.reading import read_page


class Fixed:
    """A joiner that always answers the same."""

    def __init__(self, logits: FloatArray) -> None:
        """Take logits of all symbols, the blank's last."""
        self.log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def predict(self, tokens: IdArray, states: FloatArray) -> tuple[FloatArray, FloatArray]:
        return states, states

    def join(self, encodings: FloatArray, predictions: FloatArray, temperature: float, top_k: int) -> Joined:
        ids = np.argsort(-self.log_probs[:, :-1], axis=1)[:, :top_k]
        return Joined(self.log_probs[:, -1], np.take_along_axis(self.log_probs, ids, axis=1), ids)


def test_symbols_kept_share_the_probability() -> None:
    logits = np.random.default_rng(0).standard_normal((3, 7)).astype(np.float32)
    kept, empty = [1, 4, 5], np.zeros((3, 1), np.float32)
    found = KeptSymbols(Fixed(logits), 6, kept).join(empty, empty, 1.0, 2)
    few = logits[:, [*kept, 6]]
    expected = few - np.log(np.exp(few).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found.blank, expected[:, -1], atol=1e-5)
    for row in range(3):
        order = sorted(range(3), key=lambda i: -expected[row, i])[:2]
        assert found.top_ids[row].tolist() == [kept[i] for i in order]
        np.testing.assert_allclose(found.top[row], expected[row, order], atol=1e-5)


def test_greedy_search_misses_nothing_that_it_did_not_choose(
    tiny: EncoderWeights, tiny_artifact: Path, long_speech: Path
) -> None:
    greedy = DECODING.of_variant(REFERENCE).with_options(decoding_method="greedy")
    speech = Speech(greedy.open(tiny_artifact), greedy, read_speech_manifest(long_speech), 60.0)
    encodings = speech.encode(Encoder(tiny, speech.geometry))
    expected = speech.search(encodings)
    emitted = {token for tokens in expected for token in tokens}
    transducer = speech.recognizer.transducer
    assert emitted and speech.search(encodings, KeptSymbols(transducer, transducer.blank_id, emitted)) == expected
    others = set(range(transducer.blank_id)) - emitted
    assert speech.search(encodings, KeptSymbols(transducer, transducer.blank_id, others)) != expected


def test_words_are_spelled_in_the_fewest_pieces() -> None:
    table = TokenTable(("<unk>", "▁", "a", "b", "▁a", "ab", "▁ab", "▁aba"), frozenset({0}))
    assert symbols_of(table, ["ab a", "abab"]) == {6, 4, 7, 3}
    assert symbols_of(table, ["xyz"]) == frozenset()


def test_changed_words_are_jiwers() -> None:
    expected, found = ["one two three", "", "four"], ["one too three more", "five", ""]
    output = jiwer.process_words([expected[0], expected[2]], [found[0], found[2]])
    assert changed_words(expected, found) == output.substitutions + output.deletions + output.insertions + 1
    assert changed_words(["", "a"], ["", "a"]) == 0


def test_the_halves_share_no_speaker(trial: Speech, said: Said) -> None:
    first, second = trial.halves
    assert sorted([*first, *second]) == [0, 1, 2, 3] and [index % 2 for index in first] in ([0, 0], [1, 1])
    texts = [" ".join(reference.split()[1:]) for reference in trial.references]
    assert said.counts.rate == pytest.approx(jiwer.wer(trial.references, list(said.texts)))
    assert all(text == heard for text, heard in zip(texts, said.texts, strict=True))


@pytest.fixture(scope="module")
def everything(tiny_artifact: Path, long_speech: Path) -> WhatIf:
    """All questions, in this process and in a hurry."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "_SECONDS", 0.0)
        patch.setattr(times, "BATCHES", (1, 2))
        patch.setattr(trials, "SETTINGS", ((4, 2),))
        options = measuring.WhatIfOptions(measuring.QUESTIONS)
        steps: list[str] = []
        found = measuring.measure(tiny_artifact, read_speech_manifest(long_speech), DECODING, options, steps.append)
    assert len(steps) > 10
    return found


def test_every_question_is_answered(everything: WhatIf) -> None:
    assert everything.experts and everything.geometry and everything.ranks and everything.vocabulary
    assert everything.step_error < 1e-4 and everything.words > 4
    trained = [row for row in everything.geometry if row.as_trained]
    assert len(trained) == 1 and trained[0].words.wer == everything.wer and trained[0].words.changed_words == 0
    assert 0 < everything.vocabulary.used < everything.vocabulary.symbols
    assert everything.vocabulary.joiner[-1].symbols == everything.vocabulary.used
    failed = [row for row in everything.experts.times if row.error and not (WITHOUT_MIXTURES and "MoE" in row.form)]
    assert not failed, failed
    (setting,) = everything.experts.settings
    assert 0.5 <= setting.touched["1"] <= setting.touched["4"] <= setting.touched["60"] <= 1.0


def test_the_pages_show_it(everything: WhatIf, tiny_artifact: Path) -> None:
    used = DecodingUsed("beam", 3, 1, "windowed")
    report = WhatIfReport("a < b", {}, used, describe_machine(), everything)
    whole = what_if_page(report, "emf-report --what-if")
    text, found = to_markdown(whole), read_page(to_html(whole))
    assert everything.experts and everything.geometry
    for heading in ("Latents for keys and values: cost", "Other lengths", "Fewer symbols: words", "Experts: time"):
        assert f"### {heading}\n" in text and heading in found.folded
    assert everything.experts.verdict in text and found.headings[0] == "a < b: what if"
    assert f"{everything.geometry[0].step_ms:.2f}" in text


def test_the_command_measures_it_alone(tiny_artifact: Path, long_speech: Path, tmp_path: Path) -> None:
    flags = ["--what-if", "vocabulary,ranks", "--beam-width", "3", "--num-threads", "1", "--out", str(tmp_path)]
    assert main([str(tiny_artifact), "--audio", str(long_speech), *flags]) == 0
    document: dict[str, Any] = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert "variants" not in document and document["what_if"]["experts"] is None
    assert [cost["mean_rank"] for cost in document["what_if"]["ranks"]["costs"]]
    assert "## Fewer symbols: words" in (tmp_path / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--what-if mixtures", "expected some of experts,geometry,ranks,vocabulary"),
        ("--what-if ranks --what-if-seconds 0.5", "--what-if-seconds"),
    ],
)
def test_wrong_use_is_told_in_one_line(
    tiny_artifact: Path, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: str, words: str
) -> None:
    arguments = [str(tiny_artifact), "--audio", str(speech), "--out", str(tmp_path), *flags.split()]
    try:
        status = main(arguments)
    except SystemExit as exit_:
        status = int(exit_.code or 0)
    assert status == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("emf-report: ") and words in line


def test_too_little_speech_is_refused(tiny_artifact: Path, speech: Path) -> None:
    options = measuring.WhatIfOptions(("ranks",))
    with pytest.raises(AudioError, match=r"two utterances and 10 s of speech for --what-if, found 3 and 6\.0 s"):
        measuring.measure(tiny_artifact, read_speech_manifest(speech), DECODING, options, lambda _: None)


def test_artifacts_of_one_engine_are_refused(tiny_artifact: Path, tmp_path: Path) -> None:
    manifest = read_manifest(shutil.copytree(tiny_artifact, tmp_path / "artifact"))
    refused = pytest.raises(UsageError, match="expected a variant onnxruntime/fp32")
    with scratch_artifact(manifest, "openvino", None) as bench, refused:
        read_weights(bench.manifest)
    with pytest.raises(UsageError, match="expected a model as it was trained, found one that emf-export made smaller"):
        read_weights(replace(manifest, provenance={**manifest.provenance, CONVERSION: {"ranks": [64]}}))
