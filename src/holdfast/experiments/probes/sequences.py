"""Sequences drawn without end, whose answer needs what stood many steps before: adding, copy, temporal order.

Letters: T length, B sequences.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

SYMBOLS, COPIED = 8, 10
"""Of the copy task: how many symbols there are besides blank and delimiter, and how many of them are to be repeated."""

BLANK, DELIMITER = SYMBOLS, SYMBOLS + 1
DISTRACTORS, FIRST, SECOND, BEGIN, END = 4, 4, 5, 6, 7
"""Of temporal order: a, b, c, d are 0 to 3, X is 4, Y is 5, and one symbol each begins and ends a sequence."""

Example = tuple[Tensor, Tensor]
"""Inputs, of numbers [T, B, I] or of symbols [T, B], and targets, of each sequence [B] or of each step [T, B]."""


def generator(*key: int) -> torch.Generator:
    """Random numbers of their own for each key of whole numbers, such as (seed, epoch)."""
    (state,) = np.random.SeedSequence((len(key), *key)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def adding(count: int, length: int, random: torch.Generator) -> Example:
    """The sum of the two numbers that are marked (Hochreiter & Schmidhuber 1997, with numbers as Le et al. 2015).

    Each step holds a number from U(0, 1) and a mark, 1 at one step of the first half and at one of the second
    (as Arjovsky et al. 2016), else 0.

    Args:
        count: B.
        length: T, at least 2.
        random: where the numbers come from.

    Returns:
        inputs [T, B, 2], and the sums [B], of mean 1 and variance 1/6.

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
    """Ten symbols, to be said again after a delay (Arjovsky et al. 2016).

    A sequence has delay + 20 steps: 10 symbols of 8, delay - 1 blanks, a delimiter, 10 blanks. The target is blank but
    for the last ten steps, where it is the ten symbols.

    Args:
        count: B.
        delay: steps between a symbol and its repetition, less 10; at least 1.
        random: where the symbols come from.

    Returns:
        symbols [delay + 20, B] below 10, and what is to be said at each step, below 9.

    Example:
        >>> x, y = copy(1, 5, generator(0))
        >>> torch.equal(x[:10], y[-10:]), int((x == DELIMITER).nonzero()[0, 0])
        (True, 14)
    """
    symbols = torch.randint(0, SYMBOLS, (COPIED, count), generator=random)
    inputs = torch.full((delay + 2 * COPIED, count), BLANK)
    targets = inputs.clone()
    inputs[:COPIED], inputs[delay + COPIED - 1], targets[-COPIED:] = symbols, DELIMITER, symbols
    return inputs, targets


def memoryless(delay: int) -> float:
    """The copy task's mean cross entropy of one who knows the delay and no symbol: ``10 ln 8 / (T + 20)``, in nats.

    Example:
        >>> round(memoryless(500), 4)
        0.04
    """
    return COPIED * math.log(SYMBOLS) / (delay + 2 * COPIED)


def order(count: int, length: int, random: torch.Generator) -> Example:
    """In which order X and Y came (Hochreiter & Schmidhuber 1997, with two symbols).

    A sequence begins with B and ends with E; between them a, b, c and d come by chance, and at two steps X or Y: one
    in [T/10, 2T/10), the other in [5T/10, 6T/10). There are four classes: XX, XY, YX, YY.

    Args:
        count: B.
        length: T, at least 20.
        random: where the symbols come from.

    Returns:
        symbols [T, B] below 8, and the classes [B] below 4.

    Example:
        >>> x, y = order(2, 20, generator(2))
        >>> [[s for s in row if s in (FIRST, SECOND)] for row in x.T.tolist()], y.tolist()
        ([[4, 5], [5, 4]], [1, 2])
    """
    inputs = torch.randint(0, DISTRACTORS, (length, count), generator=random)
    inputs[0], inputs[-1] = BEGIN, END
    which = torch.randint(0, 2, (2, count), generator=random)
    for kind, tenth in zip(which, (1, 5), strict=True):
        begin, end = tenth * length // 10, (tenth + 1) * length // 10
        at = torch.randint(begin, end, (count,), generator=random)
        inputs[at, torch.arange(count)] = FIRST + kind
    return inputs, 2 * which[0] + which[1]
