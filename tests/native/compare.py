"""Compare two dumps of the stress program from two machines; more than rounding fails."""

import sys

import numpy as np

ROUNDING = 1e-3
"""Relative, or absolute below one: rounding of float32 over twelve steps and their gradients."""


def main(*names: str) -> str | None:
    """Return the difference as a message, or None."""
    one, other = (np.fromfile(name, np.float32) for name in names)
    if one.size != other.size:
        return f"error: {one.size} and {other.size} values"
    worst = float((np.abs(one - other) / np.maximum(1, np.abs(other))).max())
    sys.stdout.write(f"{one.size:,} values, the largest difference is {worst:.2g}\n")
    return f"error: more than {ROUNDING}" if worst > ROUNDING else None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
