"""Engines in other processes, and the way to them."""
