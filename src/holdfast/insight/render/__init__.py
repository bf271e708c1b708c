"""Render an inspection as a page, as plots, and as text for a terminal."""
