"""Paced load on a server, by the protocols that clients speak."""
