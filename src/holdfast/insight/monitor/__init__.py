"""What watches a network while it is trained, and warns."""
