"""The six applications, one folder each, and what they have in common."""
