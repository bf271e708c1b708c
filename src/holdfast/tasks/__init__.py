"""Applications: one folder or file each."""
