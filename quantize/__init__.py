"""Smaller variants of an exported artifact, and the report that tells which of them to deploy."""

from emf.runtime.telemetry import refuse_telemetry

refuse_telemetry()
