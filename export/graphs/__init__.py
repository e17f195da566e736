"""The model as three graphs with explicit state."""
