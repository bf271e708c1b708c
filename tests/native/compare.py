"""Two dumps of the stress program, from two machines: by how much they differ; more than rounding fails."""

import sys

import numpy as np

ROUNDING = 1e-3
"""Of a value, or absolute below one: what float32 leaves after twelve steps and their gradients."""


def main(*names: str) -> str | None:
    """What is wrong, or nothing."""
    one, other = (np.fromfile(name, np.float32) for name in names)
    if one.size != other.size:
        return f"error: {one.size} and {other.size} values"
    worst = float((np.abs(one - other) / np.maximum(1, np.abs(other))).max())
    sys.stdout.write(f"{one.size:,} values, the largest difference is {worst:.2g}\n")
    return f"error: more than {ROUNDING}" if worst > ROUNDING else None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
