"""The default of libgomp's spin count is set before torch loads; the user's setting is kept."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast._threads import SPINCOUNT, SpinSetting, set_default

ROOT = Path(__file__).resolve().parents[1]
SHOW = "import json, os; from holdfast._threads import SETTING; " + (
    "print(json.dumps([SETTING.source, SETTING.effective, os.environ.get('GOMP_SPINCOUNT')]))"
)


def test_the_default_is_set_where_nothing_is_set() -> None:
    environ: dict[str, str] = {}
    assert set_default(environ, ["os"]) == SpinSetting("GOMP_SPINCOUNT", SPINCOUNT, "holdfast", True)
    assert environ == {"GOMP_SPINCOUNT": SPINCOUNT}


@pytest.mark.parametrize("own", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "passive"}], ids=str)
@pytest.mark.parametrize("modules", [[], ["torch"]], ids=str)
def test_the_users_own_setting_is_kept(own: dict[str, str], modules: list[str]) -> None:
    environ = dict(own)
    setting = set_default(environ, modules)
    assert environ == own
    assert {setting.variable: setting.value} == own and setting.source == "environment"


def test_it_is_too_late_after_torch() -> None:
    environ: dict[str, str] = {}
    setting = set_default(environ, ["torch"])
    assert environ == {} and not setting.effective
    assert "torch was imported before holdfast" in str(setting)


@pytest.mark.parametrize(
    ("first", "own", "expected"),
    [
        ("import holdfast", {}, ["holdfast", True, SPINCOUNT]),
        ("import torch", {}, ["nobody", False, None]),
        ("import holdfast", {"GOMP_SPINCOUNT": "7"}, ["environment", True, "7"]),
    ],
)
def test_in_a_new_process(first: str, own: dict[str, str], expected: list[object]) -> None:
    environ = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, "-c", f"{first}; {SHOW}"]
    done = subprocess.run(command, env=environ | own, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == expected


def test_importing_the_package_sets_it_before_torch_is_imported() -> None:
    program = "import holdfast, os, sys; print('torch' in sys.modules, os.environ['GOMP_SPINCOUNT'])"
    environ = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", SPINCOUNT]


@pytest.mark.parametrize("name", ["Makefile", ".ci/run"])
def test_other_places_have_the_same_number(name: str) -> None:
    found = re.findall(r"GOMP_SPINCOUNT[^\n]*?(\d+)", (ROOT / name).read_text())
    assert found == [SPINCOUNT]
