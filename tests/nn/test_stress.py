"""The core as a C++ program on random layers; `make sanitize` runs it with sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "native"


@pytest.mark.slow
def test_random_layers_are_alike_on_every_set_thread_count_and_caller(tmp_path: Path) -> None:
    cmake, compiler = shutil.which("cmake"), shutil.which("c++") or shutil.which("g++")
    if cmake is None or compiler is None:
        pytest.skip("needs cmake and a C++ compiler")
    flags = ["-DHOLDFAST_OPTIMISE=-O1", "-DHOLDFAST_AVX512=OFF"]
    subprocess.run([cmake, "-S", SOURCE, "-B", tmp_path, *flags], check=True, capture_output=True)
    subprocess.run([cmake, "--build", tmp_path, "--parallel", "2"], check=True, capture_output=True)
    done = subprocess.run([tmp_path / "stress", "0", "500"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "500 layers, all alike" in done.stdout
