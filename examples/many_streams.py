"""Many callers in one process: python examples/many_streams.py artifacts/demo recording.flac 8."""

import sys

import soundfile

from emf.runtime import Engine, Overloaded, Recognizer


def main(artifact: str, path: str, callers: str) -> None:
    """Feed the same recording to every stream, a tenth of a second at a time, and print what each ends with."""
    samples, sample_rate = soundfile.read(path, dtype="float32")
    with Engine(Recognizer.load(artifact), deadline_ms=160) as engine:
        handles = []
        for caller in range(int(callers)):
            try:
                handles.append(engine.open())
            except Overloaded:
                print(f"no room for caller {caller}")
        for begin in range(0, len(samples), sample_rate // 10):
            for handle in handles:
                handle.accept_waveform(sample_rate, samples[begin : begin + sample_rate // 10])
        for handle in handles:
            handle.input_finished()
        for handle in handles:
            print(list(handle.results())[-1].text)
        metrics = engine.metrics()
    print(f"{len(handles)} streams, p99 of a chunk {metrics.recent_p99_ms:.0f} ms", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
