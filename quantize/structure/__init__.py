"""What another structure of a trained model would cost and say, without making it."""
