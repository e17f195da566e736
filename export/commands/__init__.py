"""The commands emf-export and emf-verify."""
