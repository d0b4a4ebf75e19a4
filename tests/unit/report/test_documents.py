"""The documents: links lead somewhere, examples are what the code accepts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from talaria.config.loading import validated
from talaria.config.nodes import OptimSection
from talaria.config.overrides import Tree, merged
from talaria.config.schema import RunConfig
from unit.report.scored_files import ROOT, job

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GUIDE = ROOT / "docs" / "guides" / "recipes.md"
PLACES = ("jobs", "platform", "models", "tests", "docs")


def examples(path: Path) -> list[dict[str, Any]]:
    """The YAML blocks of a document."""
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_named_files_exist(path: Path) -> None:
    text = path.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    named = re.findall(rf"`((?:{'|'.join(PLACES)})/[\w/.-]+)`", text)
    lost = [link for link in links if not (path.parent / link).exists()]
    lost += [name for name in named if not (ROOT / name).exists()]
    assert not lost


def test_the_recipe_guide_is_a_recipe_that_loads() -> None:
    tree: Tree = {}
    for example in examples(GUIDE):
        if "base" not in example and "optim" not in example:
            tree = merged(tree, example)
    config = validated(tree, "recipes.md")
    assert set(tree) == set(RunConfig.model_fields)
    assert config.search is not None


def test_the_recipe_guide_shows_the_defaults_of_optim() -> None:
    (shown,) = [example["optim"] for example in examples(GUIDE) if "optim" in example]
    assert OptimSection(**shown) == OptimSection()


def test_the_recipe_guide_names_every_setting() -> None:
    text = GUIDE.read_text()
    sections = {field.annotation for field in RunConfig.model_fields.values()}
    plain = [section for section in sections if hasattr(section, "model_fields")]
    assert len(plain) >= 5
    missing = [name for section in plain for name in section.model_fields if name not in text]
    assert not missing


def test_the_commands_of_the_recipe_guide_are_accepted() -> None:
    (command,) = re.findall(r"jobs/full_pipeline.py (.*?)\n```", GUIDE.read_text(), re.DOTALL)
    arguments = command.replace("\\\n", " ").replace("jobs/recipes", f"{ROOT}/jobs/recipes").split()
    answer = job("full_pipeline", *arguments, "--dry-run")
    assert answer.returncode == 0, answer.stderr
    assert '"name": "try1"' in answer.stdout
