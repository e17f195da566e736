"""From a torchaudio Emformer-RNNT to an artifact that the runtime can use."""
