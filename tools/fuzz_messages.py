"""Feed what reads the bytes of strangers with nonsense, for some time.

Example:
    python tools/fuzz_messages.py --seconds 300

Each target of `fuzz_targets.py` gets its share of the time in a process of its own: guided by coverage where atheris is
installed, otherwise seeds that are changed by chance. With --rest, schemathesis then asks the REST endpoints, with many
times as many examples as in the suite. The exit status is 1 where something falls; the input is printed.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported later, when atheris can watch it
    from fuzz_targets import Target

_HERE = Path(__file__).parent
_MOST_SHOWN = 2_000
_MEMORY_MIB = 2_048
_LONGEST = 4_096


def mutated(chance: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A seed with some bytes changed, doubled, left out or taken from another."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[at:at] = chance.randbytes(chance.randrange(1, 9))
            case 1:
                del data[at : at + chance.randrange(1, 16)]
            case 2 if data:
                data[min(at, len(data) - 1)] = chance.choice(b'\x00\xff{}[]":,0123456789-.enu' + chance.randbytes(4))
            case 3:
                data[at:at] = data[at : at + chance.randrange(1, 64)] * chance.randrange(1, 4)
            case _:
                other = chance.choice(seeds)
                begin = chance.randrange(len(other) + 1)
                data[at:at] = other[begin : begin + 40]
    return bytes(data)


def by_chance(target: "Target", seconds: float, seed: int) -> int:
    """Read changed seeds for some seconds; return how many."""
    chance, end, count = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = mutated(chance, target.seeds)
        try:
            target.read(data)
        except Exception:
            sys.stderr.write(f"input: {data[:_MOST_SHOWN]!r}\n")
            raise
        count += 1
    return count


def by_coverage(name: str, seconds: float) -> None:
    """Read what atheris finds for some seconds; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["emf", "fuzz_targets"]):
        from fuzz_targets import TARGETS
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(target.seeds):
            (Path(folder) / str(number)).write_bytes(seed)
        flags = [f"-max_total_time={round(seconds)}", f"-max_len={_LONGEST}", f"-rss_limit_mb={_MEMORY_MIB}"]
        flags += ["-timeout=10", "-print_final_stats=1", f"-artifact_prefix={folder}/", folder]
        atheris.Setup([sys.argv[0], *flags], lambda data: target.read(bytes(data)))
        atheris.Fuzz()


def _fuzz_all(seconds: float, names: Sequence[str]) -> int:
    """Each target in a process of its own; return how many fell."""
    share, fallen = seconds / len(names), 0
    for name in names:
        command = [sys.executable, __file__, "--target", name, "--seconds", f"{share:g}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [line for line in done.stderr.splitlines() if "number_of_executed" in line or "inputs" in line]
        sys.stdout.write(f"{name}: {'falls' if done.returncode else 'stands'}; {' '.join(lines[-1:])}\n")
        sys.stdout.flush()
        if done.returncode:
            fallen += 1
            sys.stdout.write(f"{done.stderr[-_MOST_SHOWN:]}\n")
    return fallen


def _rest(examples: int) -> int:
    tests = _HERE.parent / "tests" / "serve" / "operations" / "test_openapi.py"
    environment = os.environ | {"EMF_FUZZ_EXAMPLES": str(examples)}
    command = [sys.executable, "-m", "pytest", "-q", str(tests)]
    return subprocess.run(command, env=environment, cwd=_HERE.parent, check=False).returncode


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--target", help="this one alone, in this process")
    parser.add_argument("--rest", type=int, default=0, metavar="EXAMPLES", help="ask each REST operation so often")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.target is not None and find_spec("atheris") is not None:
        by_coverage(options.target, options.seconds)
        return
    from fuzz_targets import TARGETS

    if options.target is None:
        fallen = _fuzz_all(options.seconds, list(TARGETS))
        sys.exit(1 if (options.rest and _rest(options.rest)) or fallen else 0)
    count = by_chance(TARGETS[options.target], options.seconds, options.seed)
    sys.stderr.write(f"{count} inputs\n")


if __name__ == "__main__":
    main()
