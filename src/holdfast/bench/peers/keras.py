"""Keras on JAX: the jitted stateless call of its layer."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from holdfast._json import Keywords
from holdfast._typing import Array
from holdfast.bench.cases import Case, Refused
from holdfast.bench.peers.jax import started
from holdfast.bench.peers.peer import Peer
from holdfast.bench.runners import Runner
from holdfast.nn.convert import to_keras

if TYPE_CHECKING:
    from jax import Array as JaxArray
    from keras import Layer

os.environ.setdefault("KERAS_BACKEND", "jax")  # read when Keras is imported

_LAYERS: dict[str, tuple[str, Keywords]] = {
    "gru": ("GRU", {"reset_after": True}),
    "lstm": ("LSTM", {}),
    "rnn": ("SimpleRNN", {}),
}


def _layer(case: Case) -> tuple[Layer, JaxArray]:
    """Return Keras' layer with the weights of the case, and its input [B, T, I]."""
    jax, keras = started(case.threads), import_module("keras")
    if keras.backend.backend() != "jax":
        raise Refused("its backend is not JAX (KERAS_BACKEND)")
    kind, arguments = _LAYERS[case.cell]
    made = getattr(keras.layers, kind)(case.shape.hidden, return_sequences=True, **arguments)
    x = jax.numpy.asarray(case.x.transpose(0, 1).numpy())
    made.build(x.shape)
    made.set_weights(_weights(case))
    return made, x


def _weights(case: Case) -> list[Array]:
    """Return the weights of Holdfast's layer in Keras' layout."""
    if case.cell != "rnn":
        return list(to_keras(case.layer))
    ih, hh, bias_ih, bias_hh = case.arrays()
    return [ih.T, hh.T, bias_ih + bias_hh]


def _read(result: JaxArray) -> list[Array]:
    """Transpose [B, T, ...] to [T, B, ...]."""
    return [np.asarray(result).swapaxes(0, 1)]


def _values(made: Layer) -> tuple[list[JaxArray], list[JaxArray]]:
    """Return a layer's weights and its other variables as JAX arrays."""
    return [v.value for v in made.trainable_variables], [v.value for v in made.non_trainable_variables]


def _inference(case: Case) -> Runner:
    """Run the forward pass."""
    made, x = _layer(case)
    jax, (trained, others) = started(case.threads), _values(made)
    compiled = jax.jit(lambda trained, x: made.stateless_call(trained, others, x)[0])
    return Runner(lambda: jax.block_until_ready(compiled(trained, x)), _read)


def _training(case: Case) -> Runner:
    """Run the sum of the outputs and its gradients with respect to the weights and the input."""
    made, x = _layer(case)
    jax, (trained, others) = started(case.threads), _values(made)

    def loss(trained: list[JaxArray], x: JaxArray) -> JaxArray:
        return made.stateless_call(trained, others, x)[0].sum()

    compiled = jax.jit(jax.value_and_grad(loss, (0, 1)))
    return Runner(lambda: jax.block_until_ready(compiled(trained, x))[1][1], _read)


PEERS = {"keras": Peer({"inference": _inference, "training": _training}, {"jax": "jax", "keras": "keras"})}
