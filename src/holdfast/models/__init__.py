"""Networks of the tasks, one file each: torch modules built from the layers of :mod:`holdfast.nn`."""
