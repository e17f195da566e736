"""A recognizer with a language model: streams, batches, endpoints, snapshots, the command."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from emf.runtime import EndpointRules, LanguageModel, Recognizer, Result, SnapshotError, Stream, UsageError
from emf.runtime.arrays import FloatArray
from emf.runtime.commands.transcribe import main
from emf.runtime.recognition.packed_arrays import pack, unpack
from emf.runtime.search.methods import end_words
from tests.runtime.conftest import Load
from tests.runtime.guidance.arpa_text import Table, text_score, to_arpa
from tests.signals import SAMPLE_RATE, speech_like

AUDIO = speech_like(4.0)
WANTED = "t"
WORDS: Table = {("<unk>",): (-1.0, 0.0), ("<s>",): (-99.0, 0.0), (WANTED,): (-0.01, 0.0), ("o",): (-0.5, 0.0)}
WORDS |= {(WANTED, WANTED): (-0.001, 0.0), ("<s>", WANTED): (-0.25, 0.0)}
methods = pytest.mark.parametrize("method", ["beam", "modified_beam"])


@pytest.fixture(scope="module")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("language_model") / "words.arpa"
    path.write_text(to_arpa(WORDS), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(arpa: Path) -> LanguageModel:
    return LanguageModel.read(arpa, weight=1.0, word_score=2.0)


def decode(recognizer: Recognizer, streams: Sequence[Stream], recordings: Sequence[FloatArray]) -> list[Result]:
    for stream, samples in zip(streams, recordings, strict=True):
        stream.accept_waveform(SAMPLE_RATE, samples)
        stream.input_finished()
    while any(recognizer.is_ready(stream) for stream in streams):
        recognizer.decode_streams(streams)
    return [recognizer.get_result(stream) for stream in streams]


def opened(load: Load, method: str) -> Recognizer:
    return load(backend="onnxruntime", decoding_method=method, beam_width=4, step_max_tokens=1)


@methods
def test_decoding_follows_the_language_model(load: Load, model: LanguageModel, method: str) -> None:
    recognizer = opened(load, method)
    (result,) = decode(recognizer, [recognizer.create_stream(language_model=model)], [AUDIO])
    without = recognizer.transcribe(AUDIO, SAMPLE_RATE)
    assert result.text.split().count(WANTED) > without.text.split().count(WANTED)
    assert all(log_prob <= 0.0 for log_prob in result.log_probs), "these stay the model's own"
    assert result.nbest[0].text == result.text and result.nbest[0].score == result.score
    assert recognizer.transcribe(AUDIO, SAMPLE_RATE) == without


@methods
@pytest.mark.parametrize("samples", [0, 1, 2560, 3200, 5759, 5760, 64_000])
def test_the_last_word_counts_when_all_is_decoded(load: Load, model: LanguageModel, method: str, samples: int) -> None:
    """The final scores are the beam's and the open word of each."""
    recognizer = opened(load, method)
    stream = recognizer.create_stream(language_model=model)
    (result,) = decode(recognizer, [stream], [AUDIO[:samples]])
    expected = {
        recognizer.tokens.text((*stream.state.emitted.tokens, *h.tokens)): h.score
        + (h.place.word.ending if h.place.word else 0.0)
        for h in stream.state.search.hypotheses
    }
    assert {a.text: a.score for a in result.nbest} == expected
    open_words = [h.place.word.word for h in stream.state.search.hypotheses if h.place.word]
    assert samples < 64_000 or any(open_words), "a recording without an open word tests nothing"


@methods
def test_with_weight_0_nothing_changes(load: Load, model: LanguageModel, method: str) -> None:
    recognizer = opened(load, method)
    idle = recognizer.create_stream(language_model=replace(model, weight=0.0, word_score=0.0))
    (result,) = decode(recognizer, [idle], [AUDIO])
    assert result == recognizer.transcribe(AUDIO, SAMPLE_RATE)


@methods
def test_a_batch_of_streams_each_with_its_own(load: Load, model: LanguageModel, method: str) -> None:
    recognizer = opened(load, method)
    models = [model, None, replace(model, weight=0.5), replace(model, word_score=-1.0)]
    recordings = [speech_like(2.0 + index, seed=index) for index in range(4)]
    together = decode(recognizer, [recognizer.create_stream(language_model=m) for m in models], recordings)
    for chosen, samples, result in zip(models, recordings, together, strict=True):
        (alone,) = decode(recognizer, [recognizer.create_stream(language_model=chosen)], [samples])
        assert (alone.text, alone.timestamps) == (result.text, result.timestamps)
        assert alone.score == pytest.approx(result.score, abs=1e-3)


@methods
@pytest.mark.parametrize(("width", "stable_delay"), [(1, None), (4, None), (4, 0.2)])
def test_the_open_word_counts_where_a_segment_ends(
    tiny_artifact: Path, model: LanguageModel, method: str, width: int, stable_delay: float | None
) -> None:
    """With one hypothesis, the text with endpoints equals the text without."""
    pause = np.zeros(12_000, np.float32)
    samples = np.concatenate([part for seed in range(4) for part in (speech_like(1.0, seed), pause)])
    rules = EndpointRules(silence_before_speech=0.5, silence_after_speech=0.3, max_length=1.0)
    options: dict[str, Any] = {"decoding_method": method, "stable_delay": stable_delay}
    options |= {"beam_width": width, "language_model": replace(model, weight=0.3, word_score=0.6)}
    found: list[tuple[int, ...]] = []
    for endpoint in (rules, None):
        recognizer = Recognizer.load(tiny_artifact, num_threads=1, endpoint=endpoint, **options)
        stream, stable, count = recognizer.create_stream(), "", 0
        tokens: tuple[int, ...] = ()
        stream.accept_waveform(SAMPLE_RATE, samples)
        stream.input_finished()
        while recognizer.is_ready(stream):
            recognizer.decode_streams([stream])
            result = recognizer.get_result(stream)
            assert result.stable_text.startswith(stable) and result.text.startswith(result.stable_text)
            stable = result.stable_text
            if recognizer.is_endpoint(stream) and not stream.is_final:
                tokens, stable, count = (*tokens, *result.token_ids), "", count + 1
                assert result.score == end_words(stream.state.search, recognizer.options).best.score
                assert recognizer.reset(stream).token_ids == result.token_ids
        found.append((*tokens, *recognizer.get_result(stream).token_ids))
        assert endpoint is None or count > 1, "cuts must happen"
    assert width > 1 or found[0] == found[1]


@methods
def test_a_stream_moves_with_its_language_model(load: Load, model: LanguageModel, arpa: Path, method: str) -> None:
    """Restored after every step, with another object of the same file and other weights at hand."""
    recognizer = opened(load, method)
    chosen = replace(model, word_score=0.25)
    (expected,) = decode(recognizer, [recognizer.create_stream(language_model=chosen)], [AUDIO])
    stream = recognizer.create_stream(language_model=chosen)
    stream.accept_waveform(SAMPLE_RATE, AUDIO)
    stream.input_finished()
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
        stream = recognizer.restore_stream(stream.snapshot(), language_model=LanguageModel.read(arpa))
    result = recognizer.get_result(stream)
    assert result.text == expected.text
    assert result.score == pytest.approx(expected.score, abs=1e-3)
    assert [a.text for a in result.nbest] == [a.text for a in expected.nbest]


def test_another_language_model_is_refused(load: Load, model: LanguageModel, tmp_path: Path) -> None:
    recognizer = opened(load, "beam")
    stream = recognizer.create_stream(language_model=model)
    decode(recognizer, [stream], [AUDIO])
    blob = stream.snapshot()
    (tmp_path / "other.arpa").write_text(to_arpa(WORDS | {("o",): (-0.25, 0.0)}), encoding="utf-8")
    for other in (None, LanguageModel.read(tmp_path / "other.arpa")):
        with pytest.raises(SnapshotError, match="another language model"):
            recognizer.restore_stream(blob, language_model=other)
    plain = recognizer.restore_stream(recognizer.create_stream().snapshot(), language_model=model)
    assert plain.state.search.guidance.fusion is None, "a stream without one goes on without one"


@pytest.mark.parametrize(
    ("name", "value"),
    [("weight", -1.0), ("word_score", "x"), ("contexts", []), ("contexts", ["nobody"] * 4), ("words", [1] * 4)],
    ids=str,
)
def test_foreign_places_are_refused(load: Load, model: LanguageModel, name: str, value: Any) -> None:
    recognizer = opened(load, "beam")
    stream = recognizer.create_stream(language_model=model)
    decode(recognizer, [stream], [AUDIO])
    header, arrays = unpack(stream.snapshot())
    header["language_model"][name] = value
    with pytest.raises(SnapshotError, match="does not fit"):
        recognizer.restore_stream(pack(header, arrays), language_model=model)


def test_greedy_search_refuses(tiny_artifact: Path, load: Load, model: LanguageModel) -> None:
    with pytest.raises(UsageError, match="greedy"):
        Recognizer.load(tiny_artifact, num_threads=1, decoding_method="greedy", language_model=model)
    with pytest.raises(UsageError, match="greedy"):
        opened(load, "greedy").create_stream(language_model=model)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_command(capsys: pytest.CaptureFixture[str], tiny_artifact: Path, arpa: Path, tmp_path: Path) -> None:
    audio = tmp_path / "speech.wav"
    soundfile.write(audio, AUDIO, SAMPLE_RATE, subtype="FLOAT")
    flags = ("--backend", "onnxruntime", "--num-threads", 1, "--json")
    chosen = ("--language-model", arpa, "--language-model-weight", 1)
    texts = []
    for more in ((), chosen, (*chosen, "--word-score", 1)):
        status, out, _ = run(capsys, tiny_artifact, audio, *flags, *more)
        assert status == 0
        texts.append(json.loads(out)["results"][0]["text"])
    assert len(set(texts)) == 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--language-model", "nowhere.arpa"], "no such file"),
        (["--language-model", "{audio}"], "expected \\data\\"),
        (["--language-model-weight", "1"], "expected --language-model"),
        (["--word-score", "1"], "expected --language-model"),
        (["--language-model", "{arpa}", "--decoding-method", "greedy"], "greedy"),
    ],
    ids=str,
)
def test_wrong_usage_takes_one_line(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, arpa: Path, tmp_path: Path, flags: list[str], message: str
) -> None:
    audio = tmp_path / "speech.wav"
    soundfile.write(audio, AUDIO[:100], SAMPLE_RATE)
    status, out, err = run(capsys, tiny_artifact, audio, *(flag.format(audio=audio, arpa=arpa) for flag in flags))
    assert (status, out) == (2, "")
    assert message in err and err.count("\n") == 1


def test_the_score_includes_what_the_words_add(load: Load, model: LanguageModel) -> None:
    """With one hypothesis, whose tokens are the same, the difference is the language model's."""
    recognizer = load(backend="onnxruntime", decoding_method="modified_beam", beam_width=1)
    quiet = replace(model, weight=1e-6, word_score=0.0)
    (with_model,) = decode(recognizer, [recognizer.create_stream(language_model=quiet)], [AUDIO])
    without = recognizer.transcribe(AUDIO, SAMPLE_RATE)
    assert with_model.text == without.text
    (scored,) = decode(recognizer, [recognizer.create_stream(language_model=replace(quiet, word_score=1e-3))], [AUDIO])
    assert scored.text == without.text
    expected = text_score(WORDS, without.text.split(), 1e-6, 1e-3)
    assert scored.score - without.score == pytest.approx(expected, abs=1e-4)
