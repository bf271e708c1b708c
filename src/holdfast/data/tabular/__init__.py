"""Tables: reading files, series, timestamps and calendar features."""
