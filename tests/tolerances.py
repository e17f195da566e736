"""The one table of tolerances. Everything not named here must be equal exactly."""

# Normalised log-mel features against torchaudio's own transform, computed in float64. The window and
# the filters are float32 there; one unit in the last place shows in bins far below their neighbours.
FEATURES = 1e-4
# The same against torchaudio in float32, whose rounding moves almost silent bins (see `emf.runtime.audio.mel`).
FEATURES_FLOAT32 = 5e-4
# A graph's tensor against PyTorch's, absolute; the default of `emf-export --atol`.
TENSOR = 1e-4
# The module behind a graph against torchaudio's, both in PyTorch, absolute.
MODULE = 2e-5
# A hypothesis' score against torchaudio's, natural logarithm.
SCORE = 1e-3
# The same where both compute in float64.
SCORE_FLOAT64 = 1e-10
# Log-probabilities of one stream alone, in a batch, with other threads or another engine.
SAME_STREAM = 1e-4
# Sums of exponentials against another way to write them, relative.
LOG_SUM = 1e-5
