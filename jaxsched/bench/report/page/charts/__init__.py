"""The parts of which the page's charts are made, in Vega-Lite.

ticks.py           round ticks and the ends of an axis
time_units.py      the unit of each axis of time
encodings.py       how an experiment looks, and what a chart shows of it
end_labels.py      labels at the ends of curves that do not overlap
layers.py          curves with bands, marks and labels
rows.py            the points of curves, and which curves lie on each other
thinning.py        fewer points of a curve with all of its corners
specification.py   a whole chart
labelled.py        whole charts of curves and of profiles, with labels at their ends
"""
