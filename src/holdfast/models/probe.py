"""The network of the probes: a recurrent and a linear layer, so that only the cell remembers.

Letters: T steps, B sequences, I input, H hidden size, O outputs.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from holdfast.nn.init import Initializer
from holdfast.nn.layers import LAYERS


class ProbeNetwork(nn.Module):
    """Compute ``W h + b`` from a recurrent layer's outputs, at every step or at the last one.

    Args:
        cell: a name in :data:`holdfast.nn.layers.LAYERS`.
        sizes: I, H and O.
        init: the initialization of the layer's weights.
        scale: factor of the inputs, numbers and one-hot vectors alike.
        every_step: return an output for every step.

    Example:
        >>> import torch
        >>> network = ProbeNetwork("gru", (4, 3, 2), every_step=False)
        >>> network(torch.zeros(7, 5, dtype=torch.int64)).shape, network(torch.zeros(7, 5, 4)).shape
        (torch.Size([5, 2]), torch.Size([5, 2]))
    """

    def __init__(
        self,
        cell: str,
        sizes: tuple[int, int, int],
        init: str | Initializer = "torch",
        *,
        scale: float = 1.0,
        every_step: bool,
    ) -> None:
        super().__init__()
        self.inputs, hidden, outputs = sizes
        self.layer = LAYERS[cell](self.inputs, hidden, init=init)
        self.output = nn.Linear(hidden, outputs)
        self.scale, self.every_step = scale, every_step

    def forward(self, x: Tensor) -> Tensor:
        """Map numbers [T, B, I] or symbols [T, B] to [T, B, O], or to [B, O] at the last step."""
        if not x.is_floating_point():
            x = F.one_hot(x, self.inputs).to(self.output.weight.dtype)
        outputs, _ = self.layer(self.scale * x)
        return self.output(outputs if self.every_step else outputs[-1])  # type: ignore[no-any-return]
