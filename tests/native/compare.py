"""Two dumps of the stress program, from two machines: by how much they differ; more than rounding fails."""

import sys

import numpy as np

ROUNDING = 1e-3
"""Of a value, or absolute below one: what float32 leaves after twelve steps and their gradients."""

one, other = (np.fromfile(name, np.float32) for name in sys.argv[1:])
if one.size != other.size:
    sys.exit(f"error: {one.size} and {other.size} values")
worst = float((np.abs(one - other) / np.maximum(1, np.abs(other))).max())
sys.stdout.write(f"{one.size:,} values, the largest difference is {worst:.2g}\n")
sys.exit(f"error: more than {ROUNDING}" if worst > ROUNDING else 0)
