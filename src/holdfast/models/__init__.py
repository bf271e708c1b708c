"""Networks of the tasks, one file each, built from the layers of :mod:`holdfast.nn`."""
