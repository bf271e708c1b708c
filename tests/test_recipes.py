"""Every recipe is valid for its task, and its first lines give the command that runs it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from holdfast.cli.app import app
from holdfast.config import load_config, read_config, save_config
from holdfast.tasks.registry import settings_class

RECIPES = sorted((Path(__file__).resolve().parents[1] / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_holds_settings_of_its_task(path: Path, tmp_path: Path) -> None:
    task, _ = read_config(path)
    config = load_config(path, settings_class(task, "config"))
    save_config(tmp_path / "config.toml", task, config)
    assert load_config(tmp_path / "config.toml", settings_class(task, "config")) == config


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_commands_at_its_top_can_be_parsed(path: Path) -> None:
    text = path.read_text()
    commands = re.findall(r"^#   holdfast (.*?)(?:   .*)?$", text, re.MULTILINE)
    assert any(f"recipes/{path.name}" in command for command in commands)
    for command in commands:
        words = shlex.split(command)
        if words[0] in ("train", "compare", "claims", "backtest"):
            app.parse_args(words, print_error=False, exit_on_error=False)
