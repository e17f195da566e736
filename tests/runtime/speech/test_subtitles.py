"""Subtitles: clocks, captions that break where a reader wants them to."""

from emf.runtime.recognition.result import Word
from emf.runtime.speech.subtitles import captions, to_srt, to_vtt


def word(text: str, start: float, end: float) -> Word:
    return Word(text, start, end, 1.0)


def test_srt_and_vtt() -> None:
    words = [word("one", 0.04, 0.4), word("two", 0.5, 0.9), word("three", 3661.5, 3661.98)]
    assert to_srt(words) == ("1\n00:00:00,040 --> 00:00:00,900\none two\n\n2\n01:01:01,500 --> 01:01:01,980\nthree\n")
    assert to_vtt(words).startswith("WEBVTT\n\n00:00:00.040 --> 00:00:00.900\none two\n")


def test_captions_break_at_pauses_and_lengths() -> None:
    running = [word(f"w{i:02}", i * 0.3, i * 0.3 + 0.2) for i in range(60)]
    groups = captions(running)
    assert [w for group in groups for w in group] == running
    assert all(group[-1].end - group[0].start <= 6.0 for group in groups)
    assert len(captions([word("a", 0.0, 0.2), word("b", 1.5, 1.7)])) == 2
    assert captions([]) == []
