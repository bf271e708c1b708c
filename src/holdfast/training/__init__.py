"""Training: one loop for every task (``loop.py``), and one file for each thing that it uses."""

from holdfast.training.history import History
from holdfast.training.loop import fit

__all__ = ["History", "fit"]
