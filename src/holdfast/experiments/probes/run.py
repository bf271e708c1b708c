"""Every cell with every seed on a probe, written down after each run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from holdfast.config import load_config, save_config
from holdfast.errors import UserError
from holdfast.experiments.probes.config import MAY_GROW, PROBES, ProbeConfig
from holdfast.experiments.probes.kinds import KINDS, Probe
from holdfast.experiments.probes.results import Findings
from holdfast.experiments.probes.training import learn
from holdfast.files import Into, check_new, load_json, new_folder, save_json
from holdfast.training.devices import find_device

RESULT = "probe.json"
"""The file of what was found."""


def run_probe(
    config: ProbeConfig,
    *,
    into: Into | None = None,
    progress: bool = False,
    announce: Callable[[str], None] = lambda text: None,
) -> Findings:
    """Train each cell with each seed until it solves the probe, and read the test part once at the end of each run.

    Args:
        config: the settings; their class says which probe it is.
        into: a folder that gets ``config.toml`` and, after each run, ``probe.json``; nothing is written when None. A
            probe that is resumed does not do again the runs that have ended, and may have other cells and more seeds.
        progress: a progress bar on stderr for each run.
        announce: called with a line before each run.

    Raises:
        UserError: a device that is not there, a folder in use, a probe to resume that has other settings, or what is
            wrong with files of images.

    Example:
        >>> from holdfast.experiments.probes.config import AddingConfig
        >>> found = run_probe(AddingConfig(length=10, cells=("gru",), hidden_size=8, steps=20, every=10, device="cpu"))
        >>> [row["step"] for row in found.runs[0]["curve"]]
        [10, 20]
    """
    find_device(config.device)
    if into is not None and not into.resume:
        check_new(into.folder, into.overwrite)
    probe = KINDS[type(config)](config)
    found = _begun(config, probe, into)
    planned = [
        (seed, cell) for seed in range(config.seed, config.seed + config.seeds) for cell in config.cells
    ]
    for number, (seed, cell) in enumerate(planned, 1):
        if any((run["seed"], run["cell"]) == (seed, cell) for run in found.runs):
            continue
        announce(f"run {number} of {len(planned)}: {cell}, seed {seed}, at most {config.steps:,} steps ...")
        found = replace(found, runs=[*found.runs, learn(probe, config, cell, seed, progress=progress)])
        if into is not None:
            save_json(into.folder / RESULT, found.to_dict())
    return found


def _begun(config: ProbeConfig, probe: Probe, into: Into | None) -> Findings:
    """No run yet, or those of a probe that is resumed."""
    name = next(name for name, kind in PROBES.items() if kind is type(config))
    new = Findings(
        name, probe.reach, probe.metric, probe.higher, config.criterion, probe.chance, probe.nothing
    )
    if into is None:
        return new
    if into.resume:
        new = _earlier(into.folder, config, new)
    else:
        new_folder(into.folder, overwrite=into.overwrite)
    save_config(into.folder / "config.toml", name, config)
    return new


def _earlier(folder: Path, config: ProbeConfig, new: Findings) -> Findings:
    """What the folder holds, once it is known to be of the same settings and data."""
    path = folder / RESULT
    if not path.exists():
        raise UserError(
            "--resume goes on with the probe in the folder --out.",
            f"{folder} holds none with a run that has ended."
            if folder.exists()
            else f"There is no {folder}.",
            "Give its folder with --out, or leave --resume out to begin a new one.",
        )
    old = Findings.from_dict(load_json(path), str(path))
    began = load_config(folder / "config.toml", type(config))
    grown: dict[str, Any] = {name: getattr(config, name) for name in MAY_GROW}
    if replace(began, **grown) != config or replace(old, runs=[]) != new:
        raise UserError(
            f"A resumed probe keeps its settings, but for {' and '.join(MAY_GROW)}, and its data.",
            f"They differ from those of the probe in {folder}.",
            "Give those it began with, or begin anew with another --out.",
        )
    return old
