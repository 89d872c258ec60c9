"""A study's results as one HTML page, which opens from disk without a network.

page.py        collects everything the page shows
rendering.py   renders a template to a page
figures/       the figures: what each shows, and how to read it
charts/        the parts that the figures' charts share, in Vega-Lite
in_force.py    the hyper-parameters of a run at every update
cautions.py    what the charts cannot show
provenance.py  configs, runs, machines and the study's file
templates/     the page's HTML, CSS and JavaScript
"""

from jaxsched.bench.report.page.page import write_page as write_page
