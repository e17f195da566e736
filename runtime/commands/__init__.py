"""The commands emf-transcribe, emf-bench and emf-confidence."""
