"""CSV files with a header, row by row, with the line of each for messages. NumPy is not needed."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kerasfast.data.errors import DataError

_MESSAGE_ITEMS = 10  # longer lists are cut in a message


def read_csv(
    path: Path, needed: Sequence[str], bad_rows: list[DataError] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file whose first line names the columns.

    Args:
        path: A UTF-8 file.
        needed: Columns that must be there; others may be, and the order is free.
        bad_rows: Takes the errors of rows with too few or too many fields, which are passed over then.

    Yields:
        The line on which a row begins, and its fields by column, without the spaces around them.

    Raises:
        DataError: The file cannot be read, lacks a column or breaks the format; names the file and the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = _header(path, next(reader, []), needed)
            line = reader.line_num + 1
            for fields in reader:
                if len(fields) == len(columns):
                    yield line, dict(zip(columns, map(str.strip, fields), strict=True))
                elif fields:
                    error = DataError(
                        f"{path}:{line}: {len(fields)} fields, but the header names {len(columns)}. "
                        "Put a field that holds commas in double quotes."
                    )
                    if bad_rows is None:
                        raise error
                    bad_rows.append(error)
                line = reader.line_num + 1
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a CSV file ({error}). Give a UTF-8 CSV file.") from error


def read_header(path: Path) -> list[str]:
    """Names in the first line of a CSV file; empty for an empty file.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [name.strip() for name in next(csv.reader(file), [])]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a CSV file ({error}). Give a UTF-8 CSV file.") from error


def read_seconds(text: str, name: str, where: str) -> float:
    """A number of seconds, 0 or more.

    Args:
        text: The field.
        name: What it is, for the message.
        where: File and line, for the message.

    Raises:
        DataError: It is none.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise DataError(f"{where}: {name} must be a number of seconds, 0 or more. Received: {text!r}.")
    return seconds


def shortened(items: Iterable[object]) -> str:
    """The first items of a list, for a message."""
    texts = [str(item) for item in items]
    more = [f"... {len(texts) - _MESSAGE_ITEMS} more"] if len(texts) > _MESSAGE_ITEMS else []
    return ", ".join(texts[:_MESSAGE_ITEMS] + more)


def _header(path: Path, header: list[str], needed: Sequence[str]) -> list[str]:
    columns = [name.strip() for name in header]
    missing = [name for name in needed if name not in columns]
    if missing:
        raise DataError(
            f"{path}:1: the header lacks {', '.join(missing)}. Received: {','.join(header)!r}. "
            f"The first line names the columns and must hold {', '.join(needed)}."
        )
    if len(set(columns)) != len(columns):
        raise DataError(f"{path}:1: the header names a column twice. Received: {','.join(header)!r}.")
    return columns
