"""emf-serve and emf-stream."""
