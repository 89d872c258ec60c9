"""A study's results as one HTML page, which opens from disk without a network.

page.py      collects everything the page shows
rendering.py   renders a template to a page
figures.py   the figures: what each shows, and how to read it
charts.py    the parts that the figures' charts share, in Vega-Lite
templates/   the page's HTML, CSS and JavaScript
"""

from jaxsched.bench.report.page.page import write_page as write_page
