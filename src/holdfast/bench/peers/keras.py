"""Keras on JAX: its layer's stateless call, jitted."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from holdfast._typing import Array
from holdfast.bench.cases import Case, Refused
from holdfast.bench.peers.jax import started
from holdfast.bench.peers.peer import Peer
from holdfast.bench.runners import Runner, library
from holdfast.nn.convert import to_keras

os.environ.setdefault(
    "KERAS_BACKEND", "jax"
)  # which Keras reads when it is imported, by missing() at the latest

LAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "gru": ("GRU", {"reset_after": True}),
    "lstm": ("LSTM", {}),
    "rnn": ("SimpleRNN", {}),
}


def layer(case: Case) -> tuple[Any, Any]:
    """Keras' layer with the case's weights, and its input [B, T, I]."""
    jax, keras = started(case.threads), library("keras")
    if keras.backend.backend() != "jax":
        raise Refused("its backend here is not JAX (KERAS_BACKEND)")
    kind, arguments = LAYERS[case.cell]
    made = getattr(keras.layers, kind)(case.shape.hidden, return_sequences=True, **arguments)
    x = jax.numpy.asarray(case.x.transpose(0, 1).numpy())
    made.build(x.shape)
    made.set_weights(weights(case))
    return made, x


def weights(case: Case) -> list[Array]:
    """Those of Holdfast's layer in Keras' layout."""
    if case.cell != "rnn":
        return list(to_keras(case.layer))
    ih, hh, bias_ih, bias_hh = case.arrays()
    return [ih.T, hh.T, bias_ih + bias_hh]


def read(result: Any) -> list[Array]:
    """[B, T, ...] as [T, B, ...]."""
    return [np.asarray(result).swapaxes(0, 1)]


def values(made: Any) -> tuple[Any, Any]:
    """A layer's weights and its other variables, as JAX arrays."""
    return [v.value for v in made.trainable_variables], [v.value for v in made.non_trainable_variables]


def inference(case: Case) -> Runner:
    """The forward pass."""
    made, x = layer(case)
    jax, (trained, others) = started(case.threads), values(made)
    compiled = jax.jit(lambda trained, x: made.stateless_call(trained, others, x)[0])
    return Runner(lambda: jax.block_until_ready(compiled(trained, x)), read)


def training(case: Case) -> Runner:
    """The sum of the outputs with its gradients by the weights and the input."""
    made, x = layer(case)
    jax, (trained, others) = started(case.threads), values(made)

    def loss(trained: Any, x: Any) -> Any:
        return made.stateless_call(trained, others, x)[0].sum()

    compiled = jax.jit(jax.value_and_grad(loss, (0, 1)))
    return Runner(lambda: jax.block_until_ready(compiled(trained, x))[1][1], read)


PEERS = {"keras": Peer({"inference": inference, "training": training}, {"jax": "jax", "keras": "keras"})}
