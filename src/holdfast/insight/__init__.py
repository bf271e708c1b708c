"""What a result means: pictures, a page, and plain words."""
