"""Latency, capacity and the machine they were measured on."""
