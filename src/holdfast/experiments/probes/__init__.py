"""Memory probes: tasks whose answer depends on inputs many time steps earlier."""
