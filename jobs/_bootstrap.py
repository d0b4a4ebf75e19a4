"""Make the project importable here and on every worker; import this before anything else of ours.

By hand, from an editable install or through `ray job submit`: workers find the two packages by PYTHONPATH.
In a submitted job it is relative, because each worker changes into its own unpacked copy of the working
directory.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
IMPORT_ROOTS = ("platform", "models")
PACKAGES = ("platform/talaria", "models/talaria_models")


def activate() -> dict[str, Any]:
    """Put the import roots on sys.path and return the runtime_env that Ray's workers need."""
    paths = [str(ROOT / folder) for folder in IMPORT_ROOTS]
    sys.path[:0] = [path for path in paths if path not in sys.path]
    job = os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR")  # set only inside `ray job submit`
    if job is None:
        inherited = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(paths + ([inherited] if inherited else []))
        return (
            {"py_modules": [str(ROOT / package) for package in PACKAGES]}
            if os.environ.get("RAY_ADDRESS")
            else {}
        )
    if "PYTHONPATH" in ((json.loads(job).get("runtime_env") or {}).get("env_vars") or {}):
        return {}
    return {"env_vars": {"PYTHONPATH": os.pathsep.join(IMPORT_ROOTS)}}


RUNTIME_ENV = activate()


def home() -> Path:
    """The folder below which runs/ lies: TALARIA_HOME, else here, but no submitted job's throwaway copy."""
    named = os.environ.get("TALARIA_HOME")
    if named:
        return Path(named).resolve()
    return Path.home() / "talaria" if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ else Path.cwd()


def run(main: Callable[[], int]) -> None:
    """Run a job's main function; what the user can mend ends in one sentence and exit code 2."""
    from talaria.errors import TalariaError

    try:
        code = main()
    except TalariaError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        code = 130
    sys.exit(code)
