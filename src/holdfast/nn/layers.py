"""RNN, GRU and LSTM layers, drop-in for torch.nn, with lengths, traces and options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from holdfast.nn.cells import CELLS
from holdfast.nn.options import LSTMArguments, OptionArguments, Options, check_switch
from holdfast.nn.recurrent import Lengths, Recurrent


def _refuse_projection(options: OptionArguments) -> None:
    if "proj_size" in options:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


class _SingleState(Recurrent):
    """A layer whose state is one tensor."""

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None, lengths: Lengths = None
    ) -> tuple[Any, Tensor]:
        """Run the layers over whole sequences.

        Args:
            input: [T, B, I], [B, T, I] with ``batch_first``, [T, I] unbatched, or a PackedSequence.
            hx: initial state [L*D, B, H] ([L*D, H] unbatched). If None: zeros, or the learned
                initial state.
            lengths: B integers from 0 to T, as a list or a tensor on any device, in any order.
                Outputs past a sequence's end are zero, its final state is the state at its last
                step, and the reverse direction starts there.

        Returns:
            The outputs [T, B, D*H] in the layout of ``input``, and the final state in the layout of
            ``hx``.

        Raises:
            RuntimeError, ValueError, TypeError: as in torch.nn, or ``lengths`` does not fit.
        """
        outputs, state = self._forward(input, None if hx is None else (hx,), lengths)
        return outputs, state[0]


class RNN(_SingleState):
    """Elman network, drop-in for :class:`torch.nn.RNN`.

    ``h' = tanh(W_ih x + b_ih + W_hh h + b_hh)``, or relu; see
    :class:`holdfast.nn.cells.RNNEquations`.

    Arguments, shapes, parameter names, layout and initialization are torch.nn's; for ``options``
    see :class:`holdfast.nn.options.Options`.

    Example:
        >>> import torch
        >>> y, h = RNN(3, 5)(torch.zeros(7, 2, 3))
        >>> y.shape, h.shape
        (torch.Size([7, 2, 5]), torch.Size([1, 2, 5]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[OptionArguments],
    ) -> None:
        if f"rnn_{nonlinearity}" not in CELLS:
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        _refuse_projection(options)
        self.nonlinearity = nonlinearity
        super().__init__(
            CELLS[f"rnn_{nonlinearity}"],
            (input_size, hidden_size, num_layers, 0),
            (bias, batch_first, dropout, bidirectional),
            Options.of("RNN", options),
            {"device": device, "dtype": dtype},
        )


class GRU(_SingleState):
    """Gated recurrent units, drop-in for :class:`torch.nn.GRU`.

    For the equations see :class:`holdfast.nn.cells.GRUEquations`.

    Arguments, shapes, parameter names, layout and initialization are torch.nn's; for ``options``
    see :class:`holdfast.nn.options.Options`. ``reset_after=False`` applies the reset gate before
    the recurrent product, like Keras' argument of that name.

    Example:
        >>> import torch
        >>> y, h = GRU(3, 5, batch_first=True)(torch.zeros(2, 7, 3), lengths=[7, 4])
        >>> y.shape, bool(y[1, 4:].any())
        (torch.Size([2, 7, 5]), False)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        reset_after: bool = True,
        **options: Unpack[OptionArguments],
    ) -> None:
        _refuse_projection(options)
        check_switch("reset_after", reset_after)
        super().__init__(
            CELLS["gru" if reset_after else "gru_reset_before"],
            (input_size, hidden_size, num_layers, 0),
            (bias, batch_first, dropout, bidirectional),
            Options.of("GRU", options),
            {"device": device, "dtype": dtype},
        )


class LSTM(Recurrent):
    """Long short-term memory, drop-in for :class:`torch.nn.LSTM`.

    For the equations see :class:`holdfast.nn.cells.LSTMEquations`.

    Arguments, shapes, parameter names, layout and initialization are torch.nn's; for ``options``
    see :class:`holdfast.nn.options.Options`. An LSTM also has ``peephole=True`` (Gers et al. 2002)
    and ``coupled=True`` (``i = 1 - f``, Greff et al. 2017).

    Example:
        >>> import torch
        >>> y, (h, c) = LSTM(3, 5, num_layers=2)(torch.zeros(7, 2, 3))
        >>> y.shape, c.shape
        (torch.Size([7, 2, 5]), torch.Size([2, 2, 5]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[LSTMArguments],
    ) -> None:
        coupled, peephole = options.pop("coupled", False), options.pop("peephole", False)
        check_switch("coupled", coupled)
        check_switch("peephole", peephole)
        super().__init__(
            CELLS["lstm" + "_coupled" * coupled + "_peephole" * peephole],
            (input_size, hidden_size, num_layers, proj_size),
            (bias, batch_first, dropout, bidirectional),
            Options.of("LSTM", options),
            {"device": device, "dtype": dtype},
        )

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: tuple[Tensor, Tensor] | None = None,
        lengths: Lengths = None,
    ) -> tuple[Any, tuple[Tensor, ...]]:
        """Run the layers over whole sequences, like :meth:`GRU.forward`, with a pair of states.

        Args:
            input: [T, B, I], [B, T, I] with ``batch_first``, [T, I] unbatched, or a PackedSequence.
            hx: (h [L*D, B, P], c [L*D, B, H]), where P is ``proj_size`` or H.
            lengths: B integers, see :meth:`GRU.forward`.

        Returns:
            The outputs [T, B, D*P] and the final (h, c).

        Raises:
            RuntimeError, ValueError, TypeError: as in torch.nn, or ``lengths`` does not fit.
        """
        return self._forward(input, hx, lengths)


LAYERS: dict[str, Callable[..., Recurrent]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM}
"""Name -> class of the layer."""
