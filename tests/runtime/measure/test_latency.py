"""The emf-bench command: the figures it must give, and the search for a capacity."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import soundfile

from emf.runtime.commands.bench import main
from emf.runtime.measure.capacity import find_capacity
from emf.runtime.measure.paced_load import Load
from tests.runtime.pages.reading import read_page
from tests.signals import speech_like


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "speech.wav", speech_like(2.0), 16_000)
    return tmp_path / "speech.wav"


def bench(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, object]:
    assert main([str(argument) for argument in (*arguments, "--json", "--num-threads", 1)]) == 0
    document: dict[str, object] = json.loads(capsys.readouterr().out)
    return document


def test_one_stream(capsys: pytest.CaptureFixture[str], tiny_artifact: Path, recording: Path) -> None:
    document = bench(capsys, tiny_artifact, "--audio", recording)
    chunk, parts = document["chunk_ms"], document["components_ms"]
    assert isinstance(chunk, dict) and isinstance(parts, dict)
    assert chunk["p50"] <= chunk["p90"] <= chunk["p99"]
    assert set(parts) == {"features", "encoder", "predictor", "joiner", "search"}
    assert sum(parts.values()) == pytest.approx(chunk["mean"])
    assert document["audio_s"] == pytest.approx(2.0)
    floor = document["floor"]
    assert isinstance(floor, dict) and document["floor_ms"] == max(floor["memory_ms"], floor["arithmetic_ms"])
    assert document["times_floor"] == pytest.approx(chunk["p50"] / document["floor_ms"])
    assert {"ttft_ms", "rtf", "load_s", "peak_rss_bytes", "machine"} <= document.keys()


def test_text_is_stable_sooner_where_disputes_are_settled(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, recording: Path
) -> None:
    frame = 40.0
    delays = [
        bench(capsys, tiny_artifact, "--audio", recording, *flags)["stable_delay_ms"]
        for flags in ((), ("--stable-delay", 0.2), ("--decoding-method", "greedy"))
    ]
    assert all(isinstance(delay, dict) and delay["p50"] >= frame for delay in delays)
    undecided, settled, greedy = (delay["p99"] for delay in delays if isinstance(delay, dict))
    assert undecided > settled >= greedy
    assert greedy <= 160.0, "greedy text is stable at the end of its chunk"


def test_paced_load(capsys: pytest.CaptureFixture[str], tiny_artifact: Path, recording: Path) -> None:
    document = bench(
        capsys, tiny_artifact, "--audio", recording, "--streams", 3, "--load-seconds", 2, "--deadline-ms", 60_000
    )
    loads = document["loads"]
    assert isinstance(loads, list)
    (load,) = loads
    assert load["streams"] == 3 and load["kept_up"]
    work, rates = document["chunk_work"], document["machine_rates"]
    assert isinstance(work, dict) and isinstance(rates, dict)
    shared = 1e3 * (work["weight_bytes"] / 3 + work["state_bytes"]) / rates["read_bytes_per_second"]
    assert load["floor"]["memory_ms"] == pytest.approx(shared)
    assert load["times_floor"] == pytest.approx(load["stream_ms"] / load["floor_ms"]) and load["stream_ms"] > 0
    assert 1 <= load["chunks"] <= 3 * 2.0 / 0.08, "three streams, a chunk every segment, for two seconds at most"


def test_plots_show_what_was_measured(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, recording: Path, tmp_path: Path
) -> None:
    flags = ["--streams", 2, "--load-seconds", 1, "--deadline-ms", 60_000, "--out", tmp_path / "plots"]
    document = bench(capsys, tiny_artifact, "--audio", recording, *flags)
    assert json.loads((tmp_path / "plots" / "bench.json").read_text(encoding="utf-8")) == document
    found = read_page((tmp_path / "plots" / "bench.html").read_text(encoding="utf-8"))
    assert found.headings[1:] == ["One stream", "Real-time streams", "Machine and command"]
    assert len(found.plots) == 4 and found.addresses == [] and "emf-bench" in found.text
    chunk = document["chunk_ms"]
    assert isinstance(chunk, dict) and found.tables[0][1][1] == f"{chunk['p50']:.2f}"
    drawings = {path.stem: ElementTree.parse(path) for path in (tmp_path / "plots").glob("*.svg")}
    by_streams = {"latency-by-streams", "cost-by-streams"}
    assert set(drawings) == {"latency-distribution", "latency-over-time", *by_streams}
    lines = drawings["latency-over-time"].findall(".//{http://www.w3.org/2000/svg}polyline")
    assert [len((line.get("points") or "").split()) for line in lines] == [document["chunks"]]


def test_a_folder_that_cannot_be_written_takes_one_line(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, recording: Path
) -> None:
    assert main([str(tiny_artifact), "--audio", str(recording), "--out", str(recording / "below a file")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("capacity", [0, 1, 5, 37, 300])
def test_capacity_is_found_within_one_in_twenty(capacity: int) -> None:
    found, tried = find_capacity(lambda n: Load(n, (0.1 if n <= capacity else 0.9,), (n,), True), deadline=0.16)
    assert capacity - max(1, capacity // 20) < found <= capacity or found == capacity == 0
    assert len(tried) <= 20


def test_a_load_that_falls_behind_does_not_count() -> None:
    assert not Load(4, (0.01,), (4,), kept_up=False).within(0.16)
    assert not Load(4, (), (), kept_up=True).within(0.16)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--compare", "torchaudio"],
        ["--compare", "nothing", "--checkpoint", "x"],
        ["--compare", "torchaudio", "--checkpoint", "x", "--decoding-method", "greedy"],
    ],
    ids=["no checkpoint", "unknown baseline", "baseline has no greedy"],
)
def test_bad_comparisons_take_one_line(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, recording: Path, arguments: list[str]
) -> None:
    assert main([str(tiny_artifact), "--audio", str(recording), *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
