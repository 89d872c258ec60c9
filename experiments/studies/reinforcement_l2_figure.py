"""Draws for the study of reinforcement learning with L2 what reinforcement_figure.py draws.

python experiments/studies/reinforcement_l2_figure.py [FOLDER]
"""

from pathlib import Path

from jaxsched.experiment import load_module

_without_l2 = load_module(Path(__file__).with_name("reinforcement_figure.py"))
figures, FIGURE = _without_l2.figures, _without_l2.FIGURE
draw, table = _without_l2.draw, _without_l2.table

if __name__ == "__main__":
    figures.main("reinforcement_l2", FIGURE, draw, table)
