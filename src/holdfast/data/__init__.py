"""Reading data: tables, series, calendars (numpy and polars only)."""
