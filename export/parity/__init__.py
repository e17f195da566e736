"""PyTorch and a backend side by side."""
