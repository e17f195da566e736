"""Passages that follow one another are one text."""

from emf.serve.session.events import Passage, joined


def passage(text: str, continues: bool = False) -> Passage:
    return Passage(text, text, (), 0.0, 1.0, continues=continues)


def test_a_word_that_was_cut_is_whole_again() -> None:
    assert joined([passage("march elev"), passage("enth", continues=True), passage(""), passage("nineteen")]) == (
        "march eleventh nineteen"
    )


def test_nothing_stands_before_the_first_word() -> None:
    assert joined([passage(""), passage("one")]) == "one"
    assert joined([]) == ""
