"""Streams that outlive the workers that decode them."""
