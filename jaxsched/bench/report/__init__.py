"""A study's report: tables, CSV files, plots, event files and the page."""
