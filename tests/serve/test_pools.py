"""Flags of emf-serve on their way to a worker."""

from pathlib import Path

import msgspec
import pytest

from emf.runtime.errors import UsageError
from emf.runtime.inference.threads import available_processors
from emf.serve.commands.serve import _options, make_parser
from emf.serve.pools import number_of_workers, worker_spec
from emf.serve.workers.spec import WorkerSpec


def test_a_worker_opens_what_the_flags_say(tiny_artifact: Path, tmp_path: Path) -> None:
    phrases = tmp_path / "phrases"
    phrases.write_text("t\t2.5\n", encoding="utf-8")
    decoding = f"--decoding-method beam --beam-width 3 --phrases {phrases} --silence-after-speech 0.7"
    serving = f"--max-streams 5 --cache-dir {tmp_path} --language de"
    flags = make_parser().parse_args([str(tiny_artifact), *decoding.split(), *serving.split()])
    spec = worker_spec(flags, _options(flags), threads=1, workers=2)
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=WorkerSpec)
    assert sent == spec
    pool = sent.open()
    try:
        assert (pool.capacity, pool.facts.language, pool.facts.name) == (3, "de", tiny_artifact.name)
        recognizer = pool._recognizer
        assert (recognizer.options.decoding_method, recognizer.options.beam_width) == ("beam", 3)
        assert recognizer.endpoint is not None
        assert recognizer.endpoint.silence_after_speech == 0.7
        biasing = recognizer.create_stream().state.search.guidance.biasing
        assert biasing is not None
        assert dict(biasing.phrases) == {"t": 2.5}
    finally:
        pool._engine.close()


def test_numbers_of_workers() -> None:
    assert number_of_workers("auto", 1) == available_processors()
    assert number_of_workers("auto", 10_000) == 1
    assert [number_of_workers(text, 1) for text in ("0", "3")] == [0, 3]
    for text in ("-1", "many", "2000", "²", ""):
        with pytest.raises(UsageError, match="--workers auto"):
            number_of_workers(text, 1)
