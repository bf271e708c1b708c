"""What runs here: versions, processor, devices, and which kernel runs which cell, and why."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import holdfast
from holdfast import _threads
from holdfast._json import JsonObject
from holdfast.nn.cells import CELLS, Cell, Weights
from holdfast.nn.kernels import KERNELS, Plan, Problem, choose, native, thread_count

CORE = ("torch", "numpy", "safetensors", "lightning-fabric")
EXTRAS = {"forecast": ("polars", "statsmodels", "scikit-learn", "scipy", "matplotlib", "tensorboard")}
"""Extra -> the libraries it brings, as in pyproject.toml."""

FEATURES = (
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_bf16",
    "asimd",
    "sve",
    "bf16",
)
"""Instruction sets that matter to kernels, by their names in /proc/cpuinfo (x86, then Arm)."""

T, B, I, H = 16, 8, 64, 64  # noqa: E741 - the sizes of the sequence for which the kernels are asked


def info() -> JsonObject:
    """Return what ``holdfast info`` shows, as values that JSON can hold.

    Returns:
        ``versions``, ``extras`` (extra -> library -> version or None), ``cpu``, ``devices``,
        ``native``, ``threads`` and ``kernels``: for each device, dtype and cell the kernel that
        ``auto`` chooses, and why those before it refused.
    """
    return {
        "versions": {"holdfast": holdfast.__version__, "python": platform.python_version()}
        | {name: _version(name) for name in CORE},
        "extras": {extra: {name: _version(name) for name in names} for extra, names in EXTRAS.items()},
        "cpu": _cpu(),
        "devices": ["cpu", *_accelerators()],
        "native": _native(),
        "threads": _thread_use(),
        "kernels": [row for device, dtype in _places() for row in _plans(device, dtype)],
    }


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _cpu() -> JsonObject:
    path = Path("/proc/cpuinfo")
    model, features = read_cpuinfo(path.read_text() if path.exists() else "")
    return {
        "model": model or platform.processor() or platform.machine(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "usable": _usable_cores(),
        "features": features,
        "torch_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def read_cpuinfo(text: str) -> tuple[str, list[str]]:
    """Return the first processor's model name and its :data:`FEATURES`; "" and [] where unknown."""
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    fields = {key.strip().lower(): value.strip() for key, _, value in pairs}
    present = set(fields.get("flags", fields.get("features", "")).split())
    return fields.get("model name", ""), [name for name in FEATURES if name in present]


def _accelerators() -> list[str]:
    names = [
        f"cuda:{index} {torch.cuda.get_device_name(index)}"
        for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    ]
    return [*names, "mps"] if torch.backends.mps.is_available() else names


def _native() -> JsonObject:
    reason = native.available()
    return {"isa": None if reason else native.isa(), "reason": reason}


def _thread_use() -> JsonObject:
    """Return the threads of the native core's layers and of torch, why, and how long they spin."""
    wanted = torch.get_num_threads()
    now = thread_count.current.decide(wanted)
    setting = asdict(_threads.SETTING) | {"text": str(_threads.SETTING)}
    source = thread_source(wanted, _usable_cores(), os.environ)
    return {"layers": now.threads, "reason": now.reason, "torch": source, "spin": setting}


def thread_source(threads: int, cores: int | None, environ: Mapping[str, str]) -> str:
    """Return what set torch's number of threads, on a machine with this many usable cores.

    Example:
        >>> thread_source(2, 4, {"OMP_NUM_THREADS": "2"}), thread_source(4, 4, {})
        ('set by OMP_NUM_THREADS', 'one for each usable core')
    """
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        if environ.get(variable, "").partition(",")[0].strip() == str(threads):
            return f"set by {variable}"
    if threads == cores:
        return "one for each usable core"
    return "set by torch.set_num_threads, or torch's default for this processor"


def _usable_cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _places() -> list[tuple[str, torch.dtype]]:
    """Return the devices and dtypes for which each cell's kernel is shown."""
    places = [("cpu", torch.float32), ("cpu", torch.float64)]
    return (
        [*places, ("cuda", torch.float32), ("cuda", torch.float16)] if torch.cuda.is_available() else places
    )


def _plans(device: str, dtype: torch.dtype) -> list[JsonObject]:
    """Return a row for each cell: what ``auto`` chooses for a plain layer."""
    place = {"device": device, "dtype": str(dtype).removeprefix("torch.")}
    plans = {name: choose(_problem(cell, device, dtype)) for name, cell in CELLS.items()}
    return [place | {"cell": name, "kernel": p.kernel, "refused": p.refused} for name, p in plans.items()]


def _problem(cell: Cell, device: str, dtype: torch.dtype) -> Problem:
    """Return a sequence [T, B, I] of zeros for a plain layer of the cell, with biases."""

    def zeros(*size: int) -> torch.Tensor:
        return torch.zeros(size, device=device, dtype=dtype)

    rows = len(cell.gates) * H
    peepholes = zeros(cell.peepholes * H) if cell.peepholes else None
    weights = Weights(zeros(rows, I), zeros(rows, H), zeros(rows), zeros(rows), weight_ch=peepholes)
    return Problem(cell, zeros(T, B, I), tuple(zeros(B, H) for _ in cell.states), weights)


def render(info: JsonObject) -> str:
    """Return :func:`info` as text for a terminal, without a final newline."""
    cpu, core, threads = info["cpu"], info["native"], info["threads"]
    sections = {
        "Versions": [f"{name:<18}{found or 'missing'}" for name, found in info["versions"].items()],
        **{f"Extra {extra!r}": _render_extra(extra, found) for extra, found in info["extras"].items()},
        "Processor": [
            f"{cpu['model']} ({cpu['system']}), {cpu['usable']} of {cpu['cores']} cores usable",
            f"features: {' '.join(cpu['features']) or 'unknown'}; torch computes with {cpu['torch_capability']}",
            f"torch uses {_threads_of(cpu['threads'])}: {threads['torch']}",
            f"the native core's layers use {_threads_of(threads['layers'])} now: {threads['reason']}",
            f"waiting threads: {threads['spin']['text']}",
        ],
        "Devices": info["devices"],
        "Native core": [f"missing: {core['reason']}" if core["reason"] else f"built in, runs {core['isa']}"],
        f"Kernels (tried in the order {', '.join(KERNELS)})": _render_kernels(info["kernels"]),
    }
    return "\n\n".join("\n  ".join([title, *lines]) for title, lines in sections.items())


def _threads_of(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"


def _render_extra(extra: str, found: dict[str, str | None]) -> list[str]:
    missing = f"missing (pip install 'holdfast[{extra}]')"
    return [f"{name:<18}{version or missing}" for name, version in found.items()]


def _render_kernels(rows: list[JsonObject]) -> list[str]:
    """Return a line for the cells that one kernel runs for the same reasons, by place."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        plan = Plan(row["kernel"], row["refused"])
        groups.setdefault((f"{row['device']} {row['dtype']}", str(plan)), []).append(row["cell"])
    return [f"{place:<13} {', '.join(cells)}: {plan}" for (place, plan), cells in groups.items()]
