"""Subtitles: clocks, captions that break where a reader wants them to."""

import itertools

import pytest

from emf.runtime.recognition.result import Word
from emf.runtime.speech.subtitles import MIN_CAPTION_SECONDS, captions, join_documents, timed_captions, to_srt, to_vtt


def word(text: str, start: float, end: float) -> Word:
    return Word(text, start, end, 1.0)


def test_srt_and_vtt() -> None:
    words = [word("one", 0.04, 0.4), word("two", 0.5, 0.9), word("three", 3661.5, 3661.98)]
    assert to_srt(words) == ("1\n00:00:00,040 --> 00:00:00,900\none two\n\n2\n01:01:01,500 --> 01:01:02,300\nthree\n")
    assert to_vtt(words).startswith("WEBVTT\n\n00:00:00.040 --> 00:00:00.900\none two\n")


def test_captions_break_at_pauses_and_lengths() -> None:
    running = [word(f"w{i:02}", i * 0.3, i * 0.3 + 0.2) for i in range(60)]
    groups = captions(running)
    assert [w for group in groups for w in group] == running
    assert all(group[-1].end - group[0].start <= 6.0 for group in groups)
    assert len(captions([word("a", 0.0, 0.2), word("b", 1.5, 1.7)])) == 2
    assert captions([]) == []


def test_a_short_word_stays_long_enough_to_be_read() -> None:
    (caption,) = timed_captions([word("yes", 1.0, 1.04)])
    assert (caption.start, caption.end) == (1.0, 1.0 + MIN_CAPTION_SECONDS)


def test_captions_never_overlap_nor_end_after_the_audio() -> None:
    long = "w" * 81
    words = [word(long, 1.0, 1.04), word(long, 1.2, 1.24), word(long, 1.24, 1.28), word("end", 9.96, 10.0)]
    shown = list(timed_captions(words, 10.0))
    assert [caption.text for caption in shown] == [w.word for w in words]
    assert all(earlier.end <= later.start for earlier, later in itertools.pairwise(shown))
    assert all(caption.start < caption.end <= 10.0 for caption in shown)
    assert shown[-1].end - shown[-1].start == pytest.approx(MIN_CAPTION_SECONDS)
    assert next(timed_captions([], 10.0), None) is None


def test_vtt_shows_every_character_as_it_is() -> None:
    text = to_vtt([word("<v", 0.0, 0.4), word("R&D", 0.5, 0.9), word("-->", 0.9, 1.0)])
    assert text.splitlines()[-1] == "&lt;v R&amp;D --&gt;"
    assert to_srt([word("R&D", 0.0, 1.0)]).splitlines()[-1] == "R&D"


def test_documents_of_several_files_can_be_told_apart() -> None:
    one, two = to_vtt([word("one", 0.0, 1.0)]), to_vtt([word("two", 0.0, 1.0)])
    assert join_documents([("a.wav", one)]) == one
    joined = join_documents([("a.wav", one), ("b.wav", two)])
    assert joined == f"==> a.wav <==\n{one}\n==> b.wav <==\n{two}"
    assert "\n\n==> b.wav <==\n" in joined
