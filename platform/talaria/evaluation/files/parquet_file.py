"""Predictions in Parquet: columns video_id, label, start_s, end_s, score; whole columns in and out.

Letters: N predictions.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from talaria.errors import DataError
from talaria.evaluation.arrays import FloatArray, IntArray
from talaria.evaluation.files.checks import Problems, check_rows
from talaria.evaluation.files.columns import LabelTable, PredictionTable
from talaria.evaluation.files.content import write_whole

MAGIC = b"PAR1"
_TIMED = ("video_id", "label", "start_s", "end_s", "score")
_UNTIMED = ("video_id", "label", "score")


def read_parquet_detections(
    path: Path, known: Collection[str] | None, label_if_absent: str | None, allow_negative: bool
) -> PredictionTable:
    """Detections or proposals; see `formats.read_predictions`."""
    columns, problems = _Columns(path, _TIMED, label_if_absent), Problems(path)
    shared = columns.labels(problems)
    start_s, end_s = columns.numbers("start_s", problems), columns.numbers("end_s", problems)
    problems.raise_if_any()
    table = PredictionTable(
        shared.video_ids, shared.labels, shared.video_idx, shared.label_idx, shared.score, start_s, end_s
    )
    check_rows(problems, table, known, allow_negative, "row")
    problems.raise_if_any()
    return table


def read_parquet_labels(path: Path, known: Collection[str] | None) -> LabelTable:
    """Labels of whole videos; see `formats.read_label_scores`."""
    columns, problems = _Columns(path, _UNTIMED, None), Problems(path)
    table = columns.labels(problems)
    problems.raise_if_any()
    check_rows(problems, table, known, True, "row")
    problems.raise_if_any()
    return table


def write_parquet(path: Path, table: LabelTable) -> None:
    """Write a table whole or not at all; videos without rows are not in the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "video_id": _strings(table.video_ids, table.video_idx),
        "label": _strings(table.labels, table.label_idx),
        "score": table.score,
    }
    if isinstance(table, PredictionTable):
        columns |= {"start_s": table.start_s, "end_s": table.end_s}
        columns = {name: columns[name] for name in _TIMED}
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content, compression="zstd")
    write_whole(path, content.getvalue())


def _strings(names: tuple[str, ...], idx: IntArray) -> Any:
    """A column of text from names and numbers."""
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(idx, pa.array(names, pa.string())).cast(pa.string())


class _Columns:
    """The columns of one Parquet file, typed and without missing values."""

    def __init__(self, path: Path, names: tuple[str, ...], label_if_absent: str | None) -> None:
        """Read the columns.

        Raises:
            DataError: if the file cannot be read, lacks a column, or has one of another type.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path, self.label_if_absent = path, label_if_absent
        try:
            there = pq.read_schema(path).names
            self.table = pq.read_table(path, columns=[name for name in names if name in there])
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path}: cannot be read ({error}), expected a Parquet file") from None
        needed = [name for name in names if name != "label" or label_if_absent is None]
        missing = [name for name in needed if name not in there]
        if missing:
            found = ", ".join(there)
            raise DataError(
                f"{path}: has no column {', '.join(missing)}, expected {', '.join(names)}; found {found}"
            )
        self._check_types()

    def _check_types(self) -> None:
        import pyarrow as pa

        problems = Problems(self.path)
        for column in self.table.schema:
            kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
            if column.name in ("video_id", "label"):
                right, wanted = pa.types.is_string(kind) or pa.types.is_large_string(kind), "text"
            else:
                right, wanted = pa.types.is_floating(kind) or pa.types.is_integer(kind), "numbers"
            if not right:
                problems.add(f"column {column.name}", f"holds {column.type}, expected {wanted}")
        problems.raise_if_any()

    def labels(self, problems: Problems) -> LabelTable:
        """The columns that labels and detections share."""
        video_ids, video_idx = self._names("video_id", None, problems)
        if "label" in self.table.column_names:
            labels, label_idx = self._names("label", self.label_if_absent, problems)
        else:
            labels, label_idx = (str(self.label_if_absent),), np.zeros(self.table.num_rows, np.int64)
        return LabelTable(video_ids, labels, video_idx, label_idx, self.numbers("score", problems))

    def numbers(self, name: str, problems: Problems) -> FloatArray:
        """(N,) a column of numbers; missing ones are problems."""
        column = self.table.column(name)
        self._report_missing(name, "a finite number", problems)
        numbers: FloatArray = column.to_numpy().astype(np.float64)
        return numbers

    def _names(self, name: str, absent: str | None, problems: Problems) -> tuple[tuple[str, ...], IntArray]:
        """Distinct names in the order of their first appearance, and (N,) the number of each row's."""
        import pyarrow as pa

        column = self.table.column(name).cast(pa.string())
        if absent is not None:
            column = column.fill_null(absent)
        else:
            self._report_missing(name, "a name", problems)
        coded = column.fill_null("").combine_chunks().dictionary_encode()
        try:
            names = tuple(coded.dictionary.to_pylist())
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path}: column {name}: is not text ({error}), expected UTF-8") from None
        return names, coded.indices.to_numpy().astype(np.int64)

    def _report_missing(self, name: str, expected: str, problems: Problems) -> None:
        column = self.table.column(name)
        if not column.null_count:
            return
        for row in np.flatnonzero(column.is_null().to_numpy()).tolist():
            video_id = self.table.column("video_id")[row].as_py()
            problems.add(f"video {video_id!r}, row {row}", f"{name} is missing, expected {expected}")
