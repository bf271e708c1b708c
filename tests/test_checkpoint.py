"""Checkpoints load exactly, and a damaged file is an error."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from holdfast.checkpoint import (
    STATE,
    load_arrays,
    load_optimizer,
    load_state,
    load_weights,
    optimizer_state,
    save_arrays,
    save_state,
    save_weights,
)
from holdfast.errors import UserError
from holdfast.training.devices import get_random_state, seed_everything, set_random_state


class Tied(nn.Module):
    """An embedding and an output layer that share their weights, and a buffer."""

    def __init__(self, units: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, units)
        self.rnn = nn.GRU(units, units)
        self.output = nn.Linear(units, 7)
        self.output.weight = self.embedding.weight
        self.register_buffer("scale", torch.tensor(2.0, dtype=torch.float64))


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_weights_are_restored_bit_for_bit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    one, two = Tied(), Tied()
    assert not same(one.state_dict(), two.state_dict())
    save_weights(tmp_path / "m.safetensors", one)
    load_weights(tmp_path / "m.safetensors", two)
    assert same(one.state_dict(), two.state_dict())
    assert two.output.weight is two.embedding.weight


def test_a_state_dict_can_be_saved_too(tmp_path: Path) -> None:
    one, two = nn.Linear(3, 2), nn.Linear(3, 2)
    strided = one.weight.T.contiguous().T
    save_weights(tmp_path / "m", {"weight": strided, "bias": one.bias})
    load_weights(tmp_path / "m", two)
    assert same(one.state_dict(), two.state_dict())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: Tied(5), "embedding.weight is 7x4 in the file and 7x5 in the model"),
        (
            lambda: nn.Linear(2, 2),
            "the file lacks weight, bias; the model lacks embedding.weight, .* and 5 more",
        ),
    ],
)
def test_another_architecture_is_refused_and_not_changed(tmp_path: Path, other: object, message: str) -> None:
    save_weights(tmp_path / "m.safetensors", Tied())
    module = other()  # type: ignore[operator]
    before = {k: v.clone() for k, v in module.state_dict().items()}
    with pytest.raises(UserError, match=rf"m\.safetensors do not: .*{message}"):
        load_weights(tmp_path / "m.safetensors", module)
    assert same(before, module.state_dict())


def test_missing_damaged_and_newer_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(UserError, match=r"There is none in .*train first"):
        load_weights(path, nn.Linear(2, 2))
    save_weights(path, nn.Linear(2, 2))
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[: len(whole) // 2], whole[:5], b"", b"PK\x03\x04 a pickle"):
        path.write_bytes(damaged)
        with pytest.raises(
            UserError, match=r"model\.safetensors must be a complete safetensors file.*cannot be read"
        ):
            load_weights(path, nn.Linear(2, 2))
    save_file({"weight": torch.zeros(2)}, path, {"holdfast": json.dumps({"format": 99})})
    with pytest.raises(UserError, match="newer Holdfast"):
        load_weights(path, nn.Linear(2, 2))
    with pytest.raises(UserError, match="damaged"):
        load_weights(tmp_path, nn.Linear(2, 2))


def test_weights_of_other_programs_load(tmp_path: Path) -> None:
    one, two = nn.Linear(3, 2), nn.Linear(3, 2)
    save_file(one.state_dict(), tmp_path / "m.safetensors")
    load_weights(tmp_path / "m.safetensors", two)
    assert same(one.state_dict(), two.state_dict())


def test_arrays_are_restored(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "b": np.array(3), "empty": np.zeros((0, 2), np.float32)}
    save_arrays(tmp_path / "a.safetensors", arrays)
    back = load_arrays(tmp_path / "a.safetensors")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype and back[name].shape == array.shape


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(values=st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_any_state_is_restored(values: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    tensors = {
        "module": {"a.b/c": torch.randn(3, 2), "n": torch.tensor(4)},
        "rng": {"cpu": torch.get_rng_state()},
    }
    save_state(folder, tensors, values)
    back, back_values = load_state(folder)
    assert back_values == values
    assert back.keys() == tensors.keys() and all(same(back[group], tensors[group]) for group in tensors)


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must hold state\.safetensors.*train first"):
        load_state(tmp_path)
    save_state(tmp_path, {"module": {"a": torch.zeros(100)}}, {})
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:-50])
    with pytest.raises(UserError, match="damaged"):
        load_state(tmp_path)


def test_an_optimizer_continues_exactly() -> None:
    def step(module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        module(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()

    one, two = nn.Linear(3, 2), nn.Linear(3, 2)
    adam_one, adam_two = (torch.optim.AdamW(m.parameters(), lr=lr) for m, lr in ((one, 0.1), (two, 0.7)))
    for _ in range(3):
        step(one, adam_one)
    two.load_state_dict(one.state_dict())
    tensors, groups = optimizer_state(adam_one)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    load_optimizer(adam_two, tensors, json.loads(json.dumps(groups)))
    for module, optimizer in ((one, adam_one), (two, adam_two)):
        step(module, optimizer)
    assert same(one.state_dict(), two.state_dict())


def test_random_numbers_repeat() -> None:
    def sample() -> list[float]:
        return [*torch.randn(3).tolist(), *np.random.randn(3).tolist(), random.random(), random.gauss(0, 1)]  # noqa: NPY002

    seed_everything(3)
    first = sample()
    sample()
    seed_everything(3)
    assert sample() == first
    random.gauss(0, 1)
    tensors, values = get_random_state()
    values = json.loads(json.dumps(values))
    expected = sample()
    assert sample() != expected
    set_random_state(tensors, values)
    assert sample() == expected
