"""JAX: a jitted lax.scan over steps, after one product for all inputs."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

from holdfast.bench.cases import Case
from holdfast.bench.peers.peer import Peer
from holdfast.bench.runners import Runner

if TYPE_CHECKING:
    from jax import Array

    _State: TypeAlias = Array | tuple[Array, Array]
    _Step: TypeAlias = Callable[[_State, Array, Array, Array], tuple[_State, Array]]
    """(state, W x + b of a step, W_hh^T, b_hh) -> (state, output)."""
    _Weights: TypeAlias = tuple[Array, Array, Array, Array]


@cache
def started(threads: int) -> ModuleType:
    """Import and start jax with a number of threads.

    JAX starts one thread for each processor that it may use, and has no other setting. This
    function limits the processors during the start. A later call with another number has no effect.
    """
    jax: ModuleType = import_module("jax")
    jax.config.update("jax_platforms", "cpu")
    if not hasattr(os, "sched_setaffinity"):
        return jax
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(usable)[:threads]))
    try:
        jax.devices()
    finally:
        os.sched_setaffinity(0, usable)
    return jax


def _gru(jax: ModuleType) -> _Step:
    """Return one step, as in :class:`holdfast.nn.cells.GRUEquations`."""

    def step(h: Array, projected: Array, weight: Array, bias: Array) -> tuple[_State, Array]:
        reset, update, new = jax.numpy.split(projected, 3, -1)
        reset_h, update_h, new_h = jax.numpy.split(h @ weight + bias, 3, -1)
        update = jax.nn.sigmoid(update + update_h)
        candidate = jax.numpy.tanh(new + jax.nn.sigmoid(reset + reset_h) * new_h)
        h = candidate + update * (h - candidate)
        return h, h

    return step


def _lstm(jax: ModuleType) -> _Step:
    """Return one step, as in :class:`holdfast.nn.cells.LSTMEquations`."""

    def step(state: _State, projected: Array, weight: Array, bias: Array) -> tuple[_State, Array]:
        h, c = state
        i, f, g, o = jax.numpy.split(projected + h @ weight + bias, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jax.numpy.tanh(g)
        h = jax.nn.sigmoid(o) * jax.numpy.tanh(c)
        return (h, c), h

    return step


def _rnn(jax: ModuleType) -> _Step:
    """Return one step, as in :class:`holdfast.nn.cells.RNNEquations`."""

    def step(h: Array, projected: Array, weight: Array, bias: Array) -> tuple[_State, Array]:
        h = jax.numpy.tanh(projected + h @ weight + bias)
        return h, h

    return step


_STEPS: dict[str, Callable[[ModuleType], _Step]] = {"gru": _gru, "lstm": _lstm, "rnn": _rnn}


def _layer(case: Case, jax: ModuleType) -> tuple[Callable[[_Weights, Array], Array], _Weights]:
    """Return the function (weights, x) -> y [T, B, H], and the weights."""
    step = _STEPS[case.cell](jax)
    zeros = jax.numpy.zeros((case.shape.batch, case.shape.hidden))
    start = (zeros, zeros) if case.cell == "lstm" else zeros

    def apply(weights: _Weights, x: Array) -> Array:
        ih, hh, bias_ih, bias_hh = weights
        projected = x @ ih.T + bias_ih
        return jax.lax.scan(lambda state, p: step(state, p, hh.T, bias_hh), start, projected)[1]

    return apply, tuple(map(jax.numpy.asarray, case.arrays()))


def _inference(case: Case) -> Runner:
    """Run the forward pass."""
    jax = started(case.threads)
    apply, weights = _layer(case, jax)
    compiled, x = jax.jit(apply), jax.numpy.asarray(case.x.numpy())
    return Runner(lambda: jax.block_until_ready(compiled(weights, x)))


def _training(case: Case) -> Runner:
    """Run the sum of the outputs and its gradients with respect to the weights and the input."""
    jax = started(case.threads)
    apply, weights = _layer(case, jax)
    compiled = jax.jit(jax.value_and_grad(lambda weights, x: apply(weights, x).sum(), (0, 1)))
    x = jax.numpy.asarray(case.x.numpy())

    def call() -> tuple[Array, Array, Array]:
        _, (by_weights, by_x) = jax.block_until_ready(compiled(weights, x))
        return by_x, by_weights[0], by_weights[1]

    return Runner(call)


PEERS = {"jax": Peer({"inference": _inference, "training": _training}, {"jax": "jax"})}
