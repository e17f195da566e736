"""Recordings with transcripts: reading, transcribing, scoring."""
