"""The output of info is true, complete and valid JSON."""

from __future__ import annotations

import json
import platform
import tomllib
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

import holdfast as hf
from holdfast import info as module
from holdfast.nn.cells import CELLS
from holdfast.nn.kernels import native

PROJECT = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text())["project"]

X86 = """\
processor\t: 0
model name\t: AMD EPYC
flags\t\t: fpu sse fma avx2 avx512_vnni

processor\t: 1
model name\t: Other
flags\t\t: avx512f
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd sve bf16\n"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return module.info()


def test_it_survives_json(found: dict[str, Any]) -> None:
    assert json.loads(json.dumps(found)) == found


def test_versions_are_those_that_run(found: dict[str, Any]) -> None:
    versions = found["versions"]
    assert versions["python"] == platform.python_version()
    assert versions["numpy"] == numpy.__version__
    assert versions["torch"] == torch.__version__
    assert versions["holdfast"] == hf.__version__


def test_extras_are_those_of_the_project() -> None:
    declared = {
        extra: [requirement.split(">")[0] for requirement in PROJECT["optional-dependencies"][extra]]
        for extra in module.EXTRAS
    }
    assert {extra: list(names) for extra, names in module.EXTRAS.items()} == declared


def test_the_first_processor_is_read() -> None:
    assert module.read_cpuinfo(X86) == ("AMD EPYC", ["avx2", "fma", "avx512_vnni"])
    assert module.read_cpuinfo(ARM) == ("", ["asimd", "sve", "bf16"])
    assert module.read_cpuinfo("") == ("", [])


def test_threads_are_torchs(found: dict[str, Any]) -> None:
    assert found["cpu"]["threads"] == torch.get_num_threads()
    assert 1 <= found["cpu"]["usable"] <= found["cpu"]["cores"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_cell_has_a_kernel_on_the_cpu(found: dict[str, Any], dtype: str) -> None:
    rows = [row for row in found["kernels"] if (row["device"], row["dtype"]) == ("cpu", dtype)]
    assert [row["cell"] for row in rows] == list(CELLS)
    for row in rows:
        assert row["kernel"] != "aten" or row["cell"] in ("rnn_tanh", "rnn_relu", "gru", "lstm")
        assert all(row["refused"].values()), "a kernel that was passed over says why"


@pytest.mark.parametrize(("cell", "layer"), [("gru", hf.GRU), ("lstm", hf.LSTM), ("rnn_tanh", hf.RNN)])
def test_it_agrees_with_the_plan_of_a_layer(
    found: dict[str, Any], cell: str, layer: type[torch.nn.Module]
) -> None:
    plan = layer(module.I, module.H).plan(torch.zeros(module.T, module.B, module.I))
    row = next(row for row in found["kernels"] if row["cell"] == cell and row["dtype"] == "float32")
    assert (row["kernel"], row["refused"]) == (plan.kernel, plan.refused)


def test_the_native_core_is_reported_with_its_reason(found: dict[str, Any]) -> None:
    core = found["native"]
    assert core["reason"] == native.available()
    assert core["isa"] == (None if core["reason"] else native.isa())


def test_the_threads_of_the_layers_and_the_spin_setting_are_in_the_text(found: dict[str, Any]) -> None:
    threads = found["threads"]
    assert 1 <= threads["layers"] <= torch.get_num_threads()
    text = module.render(found)
    layers, reason = threads["layers"], threads["reason"]
    assert f"core's layers use {layers} {'thread' if layers == 1 else 'threads'} now: {reason}" in text
    assert f": {threads['torch']}\n" in text
    assert (
        threads["spin"]["value"] is None
        or f"{threads['spin']['variable']}={threads['spin']['value']}" in text
    )


@pytest.mark.parametrize(
    ("threads", "environ", "source"),
    [
        (2, {"OMP_NUM_THREADS": "2"}, "set by OMP_NUM_THREADS"),
        (2, {"OMP_NUM_THREADS": "2,1"}, "set by OMP_NUM_THREADS"),
        (2, {"MKL_NUM_THREADS": "2"}, "set by MKL_NUM_THREADS"),
        (4, {}, "one for each usable core"),
        (3, {"OMP_NUM_THREADS": "2"}, "set by torch.set_num_threads"),
    ],
)
def test_what_set_the_number_of_threads_is_named(threads: int, environ: dict[str, str], source: str) -> None:
    assert module.thread_source(threads, 4, environ).startswith(source)


def test_the_text_names_every_section(found: dict[str, Any]) -> None:
    text = module.render(found)
    for word in (
        hf.__version__,
        torch.__version__,
        found["cpu"]["model"],
        "cpu",
        *CELLS,
        *module.EXTRAS["forecast"],
    ):
        assert word in text
    assert not text.endswith("\n")


def test_the_text_names_what_is_missing_and_its_extra(found: dict[str, Any]) -> None:
    lacking = found | {
        "extras": {"forecast": {"polars": None, "statsmodels": "0.15.0"}},
        "native": {"isa": None, "reason": "it was not built"},
    }
    text = module.render(lacking)
    assert "missing (pip install 'holdfast[forecast]')" in text
    assert "missing: it was not built" in text
