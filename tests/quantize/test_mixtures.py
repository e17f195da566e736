"""Which mixtures are tried, in which order."""

from emf.quantize.mixtures import Change, promising_mixtures

ALONE = {
    ("encoder", "int8"): Change(-3.0, 0.001),
    ("encoder", "int8-weight"): Change(-2.0, 0.0),
    ("encoder", "int4-weight"): Change(-4.0, 0.01),
    ("encoder", "bf16"): Change(-1.0, 0.002),
    ("predictor", "int8"): Change(0.1, 0.0),
    ("joiner", "int8"): Change(-1.0, 0.001),
    ("joiner", "int4-weight"): Change(-0.5, 0.004),
}


def _names(budget: float, most: int) -> list[str]:
    found = promising_mixtures(ALONE, budget, most)
    return ["+".join(mixture[name] for name in ("encoder", "predictor", "joiner")) for mixture in found]


def test_the_fastest_within_the_budget_come_first() -> None:
    """Then what costs least beyond it. What is beaten in time and errors is left out: bf16, and a joiner."""
    assert _names(0.002, 99)[:3] == ["int8+fp32+int8", "int8+int8+int8", "int8-weight+fp32+int8"]
    assert _names(0.002, 99)[-1] == "int4-weight+int8+int8"
    assert not any("bf16" in name or name.endswith("int4-weight") for name in _names(1.0, 99))
    assert _names(0.02, 9)[0] == "int4-weight+fp32+int8"
    assert _names(0.0, 9)[0] == "int8-weight+int8+fp32"


def test_there_are_never_more_than_asked_for() -> None:
    alone = {(c, p): Change(-n, n / 1e3) for c in ("encoder", "predictor", "joiner") for n, p in enumerate("abcd", 1)}
    assert [len(promising_mixtures(alone, 0.0, most)) for most in (0, 8, 1000)] == [0, 8, 5**3 - 1 - 12]


def test_components_of_one_precision_are_no_mixture() -> None:
    assert promising_mixtures({("encoder", "int8"): Change(-1.0, 0.0)}, 0.0, 8) == []
