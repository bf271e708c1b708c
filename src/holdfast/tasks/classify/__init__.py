"""The task classify: which classes a text or a series of measurements is of."""
