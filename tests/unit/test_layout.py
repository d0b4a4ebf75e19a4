"""The house itself: who may import whom, what never lies where, and that the jobs answer."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PLATFORM, MODELS, JOBS = ROOT / "platform", ROOT / "models", ROOT / "jobs"

LAYERS = (
    ("config", "records", "errors", "log", "seeds"),
    ("data", "store", "evaluation", "tracking", "cluster"),
    ("training", "prediction", "features", "report"),
    ("search", "ensemble"),
    ("pipeline",),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}

# Rooms of one layer that may import each other, and why.
NEIGHBOURS = {
    ("config", "errors"): "a recipe that cannot be run is a ConfigError",
    (
        "features",
        "training",
    ): "a backbone is fine-tuned by the one training loop and restored from its checkpoint",
    ("prediction", "training"): "raw predictions start from a training checkpoint",
}

# Modules of talaria_models that import an optional package, and the extra that brings it.
OPTIONAL = {
    "talaria_models.backbones.timesformer.model": "transformers",
    "talaria_models.backbones.videomae.model": "transformers",
}


def imports_of(source: str, module: str, is_package: bool) -> Iterator[str]:
    """The absolute dotted names that a source imports; `from a import b` gives `a.b`."""
    parents = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def room_of(name: str) -> str | None:
    """The room of a dotted name in talaria; None for other packages and for the package's own attributes."""
    parts = name.split(".")
    inside = parts[0] == "talaria" and len(parts) > 1 and not parts[1].startswith("__")
    return parts[1] if inside else None


def breach(importer: str, imported: str) -> str | None:
    """What is wrong with one module of talaria or talaria_models importing a name, or None."""
    top = imported.split(".")[0]
    if importer.split(".")[0] == "talaria_models":
        allowed = {"torch", "numpy", "talaria_models", OPTIONAL.get(importer)} | sys.stdlib_module_names
        return (
            None
            if top in allowed
            else f"{importer} imports {imported}: models know only the stdlib, torch and numpy"
        )
    here, there = room_of(importer), room_of(imported)
    if top == "mlflow" and here != "tracking":
        return f"{importer} imports mlflow: only talaria.tracking does"
    if top in {"ray", "torch"} and here == "evaluation":
        return f"{importer} imports {top}: evaluation is pure numpy"
    if there is None or here == there:
        return None
    if here is None or here not in LEVEL or there not in LEVEL:
        return f"{importer} imports {imported}: LAYERS in {Path(__file__).name} must name both rooms"
    below = LEVEL[there] < LEVEL[here] or (here, there) in NEIGHBOURS
    return None if below else f"{importer} imports {imported}: {there} is not below {here}"


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Dotted name and path of every module under an import root."""
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def tracked() -> list[Path]:
    """Every file in the repository's index that lies in the working tree."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def platform_file(first: Path) -> Path:
    """Where `import platform` finds its module with a folder at the head of sys.path."""
    code = f"import sys; sys.path.insert(0, {str(first)!r}); import platform; print(platform.__file__)"
    run = subprocess.run([sys.executable, "-c", code], cwd=first, capture_output=True, text=True, check=True)
    return Path(run.stdout.strip())


def test_platform_is_the_standard_librarys() -> None:
    assert platform_file(ROOT) == Path(sysconfig.get_paths()["stdlib"], "platform.py")
    assert not (PLATFORM / "__init__.py").exists()
    assert not (MODELS / "__init__.py").exists()


def test_an_init_file_in_platform_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "platform").mkdir()
    (tmp_path / "platform" / "__init__.py").touch()
    assert platform_file(tmp_path) == tmp_path / "platform" / "__init__.py"


def test_imports_go_one_way() -> None:
    found = [
        problem
        for root in (PLATFORM, MODELS)
        for name, path in modules(root)
        for imported in imports_of(path.read_text("utf-8"), name, path.name == "__init__.py")
        if (problem := breach(name, imported))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("talaria.store.artifact", "from talaria.training import loop"),
        ("talaria.store.artifact", "from talaria import pipeline"),
        ("talaria.data.videos", "from ..store import artifact"),
        ("talaria.features.runner", "def lazy():\n    import talaria.pipeline"),
        ("talaria.features.runner", "import mlflow.tracking"),
        ("talaria.attic.thing", "from talaria.errors import DataError"),
        ("talaria.evaluation.tiou", "import torch"),
        ("talaria_models.bmn.model", "from talaria.errors import DataError"),
        ("talaria_models.bmn.model", "import ray"),
        ("talaria_models.backbones.vivit.model", "import transformers"),
        ("talaria_models.backbones.timesformer.config", "from transformers import TimesformerConfig"),
        ("talaria_models.backbones.timesformer.model", "import torchvision"),
    ],
)
def test_a_wrong_import_is_noticed(importer: str, source: str) -> None:
    assert [name for name in imports_of(source, importer, False) if breach(importer, name)]


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("talaria.pipeline", "from talaria.search.study import run\nimport talaria_models"),
        ("talaria.store.artifact", "from talaria import __version__\nfrom .files import write"),
        ("talaria.tracking.tracker", "import mlflow"),
        (
            "talaria_models.bmn.model",
            "import math\nimport torch.nn.functional as F\nfrom ..base import Detector",
        ),
        ("talaria_models.backbones.timesformer.model", "from transformers.models.timesformer import Model"),
    ],
)
def test_a_right_import_passes(importer: str, source: str) -> None:
    assert not [name for name in imports_of(source, importer, False) if breach(importer, name)]


def test_evaluation_loads_neither_ray_nor_torch() -> None:
    names = [name for name, _ in modules(PLATFORM) if name.startswith("talaria.evaluation")]
    code = (
        f"import importlib, sys; sys.path.insert(0, {str(PLATFORM)!r}); "
        f"[importlib.import_module(name) for name in {names!r}]; "
        "print([name for name in ('ray', 'torch', 'mlflow') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_jobs_are_short_and_answer_help_without_ray() -> None:
    long = {
        path.name: n for path in JOBS.glob("*.py") if (n := len(path.read_text("utf-8").splitlines())) > 80
    }
    assert not long, f"jobs of more than 80 lines: {long}"
    names = sorted(path.name for path in JOBS.glob("[!_]*.py"))
    code = (
        "import contextlib, io, json, runpy, sys\n"
        f"sys.path.insert(0, {str(JOBS)!r})\n"
        f"for name in {names!r}:\n"
        f"    sys.argv, out, code = [name, '--help'], io.StringIO(), None\n"
        "    try:\n"
        "        with contextlib.redirect_stdout(out):\n"
        f"            runpy.run_path({str(JOBS)!r} + '/' + name, run_name='__main__')\n"
        "    except SystemExit as stop:\n"
        "        code = stop.code or 0\n"
        "    print(json.dumps([name, code, 'usage' in out.getvalue(), 'ray' in sys.modules]))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert answers == [[name, 0, True, False] for name in names]


def test_no_tracked_file_is_above_one_megabyte() -> None:
    large = {
        str(path.relative_to(ROOT)): path.stat().st_size for path in tracked() if path.stat().st_size > 2**20
    }
    assert not large


def unsafe_loads(source: str) -> list[int]:
    """Lines that call torch.load without a literal weights_only=True."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "torch.load"
        and not any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords)
    ]


def test_nothing_is_unpickled_unchecked() -> None:
    assert unsafe_loads("x = torch.load(path)\ny = torch.load(path, weights_only=False)") == [1, 2]
    sources = [path for path in tracked() if path.suffix == ".py"]
    found = {
        str(path.relative_to(ROOT)): lines
        for path in sources
        if (lines := unsafe_loads(path.read_text("utf-8")))
    }
    assert not found


def pins() -> dict[str, str]:
    """The lines of constraints.txt by normalised project name."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return {canonicalize_name(Requirement(line).name): line for line in lines if line and line[0] != "#"}


def needed(roots: list[str]) -> set[str]:
    """Names of everything that requirements pull in here, as the installed packages declare it."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [Requirement(root) for root in roots]
    while waiting:
        asked = waiting.pop()
        name = canonicalize_name(asked.name)
        if str(asked) in seen or name.startswith(
            ("cuda-", "nvidia-", "triton")
        ):  # torch picks its CUDA libraries
            continue
        seen.add(str(asked))
        found.add(name)
        extras = {"", *asked.extras}
        for inner in map(Requirement, metadata.requires(name) or []):
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(inner)
    return found


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    roots = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert len(needed(roots)) > len(roots)
    assert not needed(roots) - pins().keys()


def test_a_pin_is_exact_and_without_a_local_tag() -> None:
    loose = [line for line in pins().values() if not re.fullmatch(r"[\w.-]+==[\w.]+( ;.*)?", line)]
    assert not loose
