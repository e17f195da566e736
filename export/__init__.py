"""From a torchaudio Emformer-RNNT to an artifact that the runtime can use."""

from emf.runtime.telemetry import refuse_telemetry

refuse_telemetry()
