"""One finished or unfinished piece of work in its own folder.

A folder is finished when it holds `record.json`, which is written last. The record keeps the settings that
made it; asking for the same folder with other settings is an error that names them, so that nothing old is
taken for new. Settings that do not change the result (workers, paths, tracking) are not among its fields.
"""

from __future__ import annotations

import datetime
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from talaria.config.fingerprint import differences, fingerprint, plain
from talaria.errors import DataError, DriftError
from talaria.store.files import read_json, write_json

RECORD = "record.json"
STARTED = "started.json"


class Artifact:
    """A folder and the settings that decide its content."""

    def __init__(self, folder: Path, kind: str, fields: Mapping[str, Any]) -> None:
        """Describe a piece of work; nothing is touched yet.

        Args:
            folder: absolute path of its folder.
            kind: `name@version` of the stage that makes it.
            fields: every value that changes the result, inputs by their fingerprints.
        """
        self.folder = folder
        self.kind = kind
        self.fields: dict[str, Any] = {"kind": kind, **plain(fields)}
        self.fingerprint = fingerprint(self.fields)
        self._begun_s = time.time()

    @property
    def name(self) -> str:
        """The last two parts of the folder, which is how people speak of it."""
        return "/".join(self.folder.parts[-2:])

    def finished(self) -> bool:
        """Whether the folder holds this very work.

        Raises:
            DriftError: it holds finished work of other settings; they are named.
            DataError: its record is damaged.
        """
        if not (self.folder / RECORD).is_file():
            return False
        made = self.record()["fields"]
        if made != self.fields:
            raise DriftError(self._drift(made))
        return True

    def begin(self, *, keep_partial: bool = True) -> None:
        """Make the folder ready to work in; work of the same settings is kept and gone on with.

        Args:
            keep_partial: False removes unfinished work of the same settings, too.
        """
        started = self.folder / STARTED
        kept = self.finished() or (keep_partial and started.is_file() and read_json(started) == self.fields)
        if self.folder.exists() and not kept:
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if not kept:
            write_json(started, self.fields)
        self._begun_s = time.time()

    def commit(self, **info: Any) -> None:
        """Write the record: from now on the folder is finished."""
        record = {
            "fields": self.fields,
            "fingerprint": self.fingerprint,
            "info": plain(info),
            "seconds": round(time.time() - self._begun_s, 2),
            "finished_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "versions": versions(),
        }
        write_json(self.folder / RECORD, record)
        (self.folder / STARTED).unlink(missing_ok=True)

    def record(self) -> dict[str, Any]:
        """The record of finished work.

        Raises:
            DataError: it cannot be read as a record.
        """
        path = self.folder / RECORD
        try:
            record: dict[str, Any] = read_json(path)
            record["fields"]
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{path}: is no record ({type(error).__name__}); delete {self.folder} to do the work again"
            ) from None
        return record

    def _drift(self, made: Mapping[str, Any]) -> list[str]:
        changed = differences(made, self.fields)
        shown = [f"{self.name} was made with other settings: {clause}" for clause in changed[:12]]
        if len(changed) > 12:
            shown.append(f"and {len(changed) - 12} settings more")
        return [*shown, f"choose another run.name, or delete {self.folder}"]


def versions() -> dict[str, str]:
    """What made a record: the project, its commit where known, and the libraries that matter."""
    from importlib.metadata import version

    from talaria import __version__

    libraries = {name: version(name) for name in ("ray", "torch", "pyarrow", "numpy", "av")}
    return {"talaria": __version__, "commit": code_commit(), **libraries}


def code_commit() -> str:
    """The commit of the code, or an empty string outside a git checkout."""
    here = Path(__file__).resolve().parent
    try:
        found = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except OSError:
        return ""
    return found.stdout.strip()
