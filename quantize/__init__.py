"""Smaller variants of an exported artifact, and the report that tells which of them to deploy."""
