"""A study's report, made from its records alone.

results.py      everything that is computed, once, for all of the files below
report.py       writes them all
tables.py       the tables, for the terminal, as Markdown and as JSON
csv_files.py    runs and evaluations as CSV
curves.py       a quantity over time, the median over seeds
plots.py        a plot of the metric, such as accuracy.png
tensorboard.py  event files for TensorBoard
page/           report.html, one page with interactive charts
"""
