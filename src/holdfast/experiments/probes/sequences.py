"""Random sequences whose targets depend on early inputs: adding, copy, temporal order.

Letters: T length in time steps, B sequences.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

SYMBOLS, COPIED = 8, 10
"""The copy task's number of symbols (without blank and delimiter), and how many are repeated."""

BLANK, _DELIMITER = SYMBOLS, SYMBOLS + 1
_DISTRACTORS, FIRST, SECOND, BEGIN, END = 4, 4, 5, 6, 7
"""Symbols of temporal order: a, b, c, d are 0 to 3, X is 4, Y is 5; one symbol begins a sequence
and one ends it."""

Example = tuple[Tensor, Tensor]
"""Inputs, numbers [T, B, I] or symbols [T, B], and targets [B] or, at each step, [T, B]."""


def generator(*key: int) -> torch.Generator:
    """Return a random generator that depends only on whole numbers, such as (seed, epoch)."""
    (state,) = np.random.SeedSequence((len(key), *key)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def adding(count: int, length: int, random: torch.Generator) -> Example:
    """Sample the adding problem (Hochreiter & Schmidhuber 1997, with numbers as in Le et al. 2015).

    Each time step has a number from U(0, 1) and a mark, which is 1 at one time step of the first
    half and at one of the second (as in Arjovsky et al. 2016), else 0. The target is the sum of the
    two marked numbers.

    Args:
        count: B.
        length: T, at least 2.
        random: generator of the numbers.

    Returns:
        inputs [T, B, 2], and the sums [B], with mean 1 and variance 1/6.

    Example:
        >>> x, y = adding(3, 10, generator(0))
        >>> x.shape, y.shape, torch.equal(x[..., 1].sum(0), torch.full((3,), 2.0))
        (torch.Size([10, 3, 2]), torch.Size([3]), True)
    """
    numbers, marks = torch.rand(length, count, generator=random), torch.zeros(length, count)
    half = length // 2
    for begin, end in ((0, half), (half, length)):
        marks[torch.randint(begin, end, (count,), generator=random), torch.arange(count)] = 1.0
    return torch.stack([numbers, marks], -1), (numbers * marks).sum(0)


def copy(count: int, delay: int, random: torch.Generator) -> Example:
    """Sample the copy task: ten symbols to repeat after a delay (Arjovsky et al. 2016).

    A sequence has delay + 20 time steps: 10 symbols of 8, delay - 1 blanks, a delimiter, 10 blanks.
    The target is blank except in the last ten time steps, where it is the ten symbols.

    Args:
        count: B.
        delay: time steps between a symbol and its repetition, minus 10; at least 1.
        random: generator of the symbols.

    Returns:
        symbols [delay + 20, B] below 10, and targets of the same shape, below 9.

    Example:
        >>> x, y = copy(1, 5, generator(0))
        >>> torch.equal(x[:10], y[-10:]), int((x == _DELIMITER).nonzero()[0, 0])
        (True, 14)
    """
    symbols = torch.randint(0, SYMBOLS, (COPIED, count), generator=random)
    inputs = torch.full((delay + 2 * COPIED, count), BLANK)
    targets = inputs.clone()
    inputs[:COPIED], inputs[delay + COPIED - 1], targets[-COPIED:] = symbols, _DELIMITER, symbols
    return inputs, targets


def memoryless(delay: int) -> float:
    """Return the copy task's mean cross entropy without memory, ``10 ln 8 / (T + 20)`` nats.

    Example:
        >>> round(memoryless(500), 4)
        0.04
    """
    return COPIED * math.log(SYMBOLS) / (delay + 2 * COPIED)


def order(count: int, length: int, random: torch.Generator) -> Example:
    """Sample temporal order with two symbols (Hochreiter & Schmidhuber 1997).

    A sequence begins with B and ends with E. Between them a, b, c and d are random, and X or Y is
    at two time steps: one in [T/10, 2T/10), the other in [5T/10, 6T/10). The classes are XX, XY,
    YX, YY.

    Args:
        count: B.
        length: T, at least 20.
        random: generator of the symbols.

    Returns:
        symbols [T, B] below 8, and the classes [B] below 4.

    Example:
        >>> x, y = order(2, 20, generator(2))
        >>> [[s for s in row if s in (FIRST, SECOND)] for row in x.T.tolist()], y.tolist()
        ([[4, 5], [5, 4]], [1, 2])
    """
    inputs = torch.randint(0, _DISTRACTORS, (length, count), generator=random)
    inputs[0], inputs[-1] = BEGIN, END
    which = torch.randint(0, 2, (2, count), generator=random)
    for kind, tenth in zip(which, (1, 5), strict=True):
        begin, end = tenth * length // 10, (tenth + 1) * length // 10
        at = torch.randint(begin, end, (count,), generator=random)
        inputs[at, torch.arange(count)] = FIRST + kind
    return inputs, 2 * which[0] + which[1]
