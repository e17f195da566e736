"""What can go wrong, told in one line: what was expected, what came, what to do.

Every error is an `EmfError`, and also the builtin exception that a caller who does not know
this library would expect.
"""


class EmfError(Exception):
    """Base of every error that this project raises on purpose."""


class ArtifactError(EmfError, ValueError):
    """An artifact is incomplete, damaged, of another schema, or does not hold what was asked for."""


class ArtifactNotFound(EmfError, FileNotFoundError):
    """The folder or a file of an artifact does not exist."""


class AudioError(EmfError, ValueError):
    """Audio that cannot be used: not audio, not finite, an impossible sample rate or shape."""


class MissingDependency(EmfError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""

    @classmethod
    def of(cls, what: str, package: str | None, extra: str) -> "MissingDependency":
        """For something that needs a package, which an extra brings."""
        return cls(f"{what} needs the package {package}; run: pip install 'emformer-deploy[{extra}]'")


class CheckpointError(EmfError, ValueError):
    """A checkpoint or its configuration is not that of a torchaudio Emformer-RNNT."""


class SnapshotError(EmfError, ValueError):
    """Bytes that are no snapshot of a stream, are damaged, or belong to another model."""


class Overloaded(EmfError, RuntimeError):
    """An engine cannot take more now: another stream, or more audio of this one. Try later, or elsewhere."""


class StreamClosed(EmfError, RuntimeError):
    """A stream of an engine, or the engine, is closed and takes no more audio."""


class ResultTimeout(EmfError, TimeoutError):
    """No result came within the time that the caller gave."""


class UsageError(EmfError, ValueError):
    """An option or an argument that makes no sense."""


class ToleranceError(EmfError, ArithmeticError):
    """A check failed: two computations of the same tensor or text differ by more than allowed."""


def require(value: object, kind: type | tuple[type, ...], expected: str) -> None:
    """Refuse a value of another type where a caller may pass anything.

    Raises:
        UsageError: naming what was expected, and the type that came.
    """
    if not isinstance(value, kind):
        raise UsageError(f"expected {expected}, found {type(value).__name__}")
