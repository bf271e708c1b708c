"""Music: what comes next in a piece, and composing."""
