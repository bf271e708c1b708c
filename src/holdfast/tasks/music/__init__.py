"""Music: predict what comes next in a piece, and compose."""
