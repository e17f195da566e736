"""Engines in other processes, and streams that outlive them."""
