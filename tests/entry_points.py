"""The commands as they are installed, each in a process of its own."""

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]


def command_line(name: str, arguments: Sequence[str | bytes | Path], prelude: str = "") -> list[str | bytes | Path]:
    """What the installer's script does, after `prelude`."""
    module, function = SCRIPTS[name].split(":")
    code = f"import sys; sys.argv[0] = {name!r}; {prelude}\nfrom {module} import {function} as run\nsys.exit(run())"
    return [sys.executable, "-c", code, *arguments]


def run(
    name: str, *arguments: str | bytes | Path, prelude: str = "", **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    return subprocess.run(command_line(name, arguments, prelude), check=False, **options)


def start(name: str, *arguments: str | bytes | Path, prelude: str = "") -> subprocess.Popen[bytes]:
    """Start a command whose standard streams are pipes."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command_line(name, arguments, prelude), **pipes)  # type: ignore[call-overload,no-any-return]
