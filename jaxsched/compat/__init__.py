"""The schedulers of other frameworks, under their names and with their conventions."""

from jaxsched.compat import torch as torch
