"""Speech recognition: from sound to text."""
