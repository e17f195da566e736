"""The bundled demo model: checkpoint, configuration, statistics, tokens and recordings (data only)."""
