"""Music: MIDI and piano rolls, notes, keys and novelty."""
