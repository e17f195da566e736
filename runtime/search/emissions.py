"""Tokens with the frames and the probabilities of their emission, as one value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Emissions:
    """Tokens in the order of their emission. Every column has the same length.

    Attributes:
        tokens: their ids.
        frames: encoder frame at which each was emitted.
        log_probs: log-probability with which each was emitted, natural logarithm.
    """

    tokens: tuple[int, ...] = ()
    frames: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.tokens) == len(self.frames) == len(self.log_probs):
            raise ValueError(
                f"expected a frame and a log-probability for each token, found {len(self.tokens)} tokens, "
                f"{len(self.frames)} frames and {len(self.log_probs)} log-probabilities"
            )

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, span: slice) -> "Emissions":
        return Emissions(self.tokens[span], self.frames[span], self.log_probs[span])

    def __add__(self, later: "Emissions") -> "Emissions":
        return Emissions(self.tokens + later.tokens, self.frames + later.frames, self.log_probs + later.log_probs)

    def followed_by(self, token: int, frame: int, log_prob: float) -> "Emissions":
        """These and one token more."""
        return Emissions((*self.tokens, token), (*self.frames, frame), (*self.log_probs, log_prob))


NOTHING = Emissions()
