"""Experiments: many training runs that answer one question."""
