"""What makes some words likelier than the model thinks: phrases and a language model."""
