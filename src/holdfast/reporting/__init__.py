"""Reports: summaries, tables, plots, statistics and HTML pages."""
