"""Other frameworks' names and conventions, as our schedules."""

from jaxsched.compat import torch as torch
