"""Images as sequences."""
