"""Reading Parquet shards of a member so that damage is said in terms of member, file and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from talaria.errors import DataError


def opened(path: Path, member: str) -> pq.ParquetFile:
    """An open shard, to be closed by the caller.

    Raises:
        DataError: the file is missing, truncated or something else than Parquet.
    """
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"member {member}: {path} is truncated or no Parquet file ({_short(error)})"
        ) from None


def columns(file: pq.ParquetFile, group: int, names: list[str], member: str) -> pa.Table:
    """Some columns of one row group.

    Raises:
        DataError: naming the columns that are absent, or that the row group is damaged.
    """
    absent = [name for name in names if name not in file.schema_arrow.names]
    if absent:
        raise DataError(f"member {member}: the predictions lack the field {', '.join(absent)}")
    try:
        return file.read_row_group(group, columns=names, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"member {member}: {', '.join(names)}: cannot be read ({_short(error)})") from None


def floats(table: pa.Table, row: int, name: str, expected: int | None, where: str) -> NDArray[np.float32]:
    """One row of a list column as float32.

    Args:
        expected: how many values it must have; None takes any number but none at all.
        where: how an error names the member and the video.

    Raises:
        DataError: another number of values.
    """
    values = table[name][row].values
    found = 0 if values is None else len(values)
    if found == 0 or found != (expected or found):
        raise DataError(f"{where}: {name}: found {found} values, expected {expected or 'some'}")
    dense: NDArray[np.float32] = values.to_numpy(zero_copy_only=False).astype(np.float32)
    return dense


def logit_rows(table: pa.Table, row: int, where: str) -> NDArray[np.float32]:
    """The class logits of one row, (R, K).

    Raises:
        DataError: the values do not make equal rows.
    """
    num_rows, logits = table["num_logit_rows"][row].as_py(), floats(table, row, "class_logits", None, where)
    if num_rows < 1 or len(logits) % num_rows:
        raise DataError(f"{where}: class_logits: {len(logits)} values do not make {num_rows} equal rows")
    return logits.reshape(num_rows, -1)


def about(path: Path, key: bytes) -> dict[str, Any]:
    """The JSON object that a shard carries in its metadata under `key`.

    Raises:
        DataError: the file is damaged or says nothing about itself; the member is then named by the folder.
    """
    with opened(path, path.parent.name) as file:
        metadata = file.schema_arrow.metadata or {}
    try:
        fields: dict[str, Any] = json.loads(metadata[key])
    except (KeyError, ValueError):
        raise DataError(f"member {path.parent.name}: {path} does not say what it is about") from None
    return fields


def _short(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
