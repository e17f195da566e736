"""A trained model cut into experts: what that costs and loses."""
