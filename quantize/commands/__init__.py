"""The commands emf-quantize and emf-report."""
