"""Forecasting: from a CSV to a report."""
