"""Plots of schedules and of a run's hyper-parameters, and the style that all plots share.

`import jaxsched` imports this package, so it must stay light: nothing here may load Matplotlib.

    plot.py       `js.plot`: schedules on one pair of axes
    previews.py   a run's hyper-parameters before it runs, as a figure and as text
    style.py      colours and dashes that tell curves apart
"""
