"""Hypotheses: greedy, beam and modified beam search. Knows no backend."""
