"""The figures of a study's page: what each shows, and how to read it.

figure.py      a figure, and the sentences that several kinds need
metric.py      the study's metric, and losses beside it
reached.py     the share of seeds that have reached the target
profile.py     the performance profile over several targets
norm.py        the weight norm
schedules.py   the hyper-parameters at every update
"""
