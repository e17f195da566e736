"""A recognizer, its streams and what it says of them."""
