"""What `emf-export` writes and everything else reads: the manifest and the tokens."""
