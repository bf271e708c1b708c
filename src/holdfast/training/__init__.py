"""Training: one loop for every task (``loop.py``), and what it stands on, a file for each thing."""

from holdfast.training.history import History
from holdfast.training.loop import fit

__all__ = ["History", "fit"]
