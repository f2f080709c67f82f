"""TOML tables to frozen dataclasses and back, strictly: an unknown key or a wrong type is an error."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from kerasfast.models.variants import nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found]


def read_toml(path: Path) -> dict[str, Any]:
    """Read the tables of a file.

    Raises:
        ValueError: The file is not TOML; the message has file, line and column.
        FileNotFoundError: There is no such file.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a TOML file: {error}.") from error


def from_table(kind: Any, table: Mapping[str, Any], where: str, prefix: str = "") -> Any:
    """Make an instance of the dataclass `kind` whose fields are the keys of `table`.

    Fields may be bool, int, float, str, tuples, dicts, dataclasses and any of them `| None`. An int is taken
    for a float, a list for a tuple; a fixed-length tuple takes no other length.

    Args:
        kind: A dataclass; its `__post_init__` may raise `ValueError` about values.
        table: What was read.
        where: Start of every message, such as the file.
        prefix: Dotted name of the table inside the file.

    Raises:
        ValueError: An unknown or missing key, a wrong type, or a value that `kind` refuses.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    title = f"[{prefix}]" if prefix else "the top level"
    for key in table:
        if key not in fields:
            raise ValueError(
                f"{where}: unknown key {_dotted(prefix, key)!r}.{nearest(key, fields)} "
                f"Keys of {title}: {', '.join(fields)}."
            )
    hints = typing.get_type_hints(kind)
    values = {}
    for name, field in fields.items():
        if name in table:
            values[name] = _value(hints[name], table[name], where, _dotted(prefix, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{where}: key {_dotted(prefix, name)!r} is missing.")
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def to_table(instance: Any) -> dict[str, Any]:
    """Invert `from_table`: plain values; fields that are None, or empty tables, are left out."""
    table = {}
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        if value is not None and value != {}:
            table[field.name] = _plain(value)
    return table


def dump(table: Mapping[str, Any], prefix: str = "") -> str:
    """Return TOML text of nested tables of bool, int, float, str, tuples and lists of them."""
    lines = [f"{_key(key)} = {_literal(value)}" for key, value in table.items() if not _is_table(value)]
    text = "\n".join(lines) + "\n" if lines else ""
    for key, value in table.items():
        if _is_table(value):
            name = _dotted(prefix, _key(key))
            text += f"\n[{name}]\n{dump(value, name)}"
    return text


def merged(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `table` with the entries of `changes`, table by table; None takes an entry away, as TOML has no null."""
    result = dict(table)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
            continue
        both = _is_table(value) and _is_table(result.get(key))
        result[key] = merged(result[key], value) if both else value
    return result


def _value(hint: Any, value: Any, where: str, key: str) -> Any:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    options = [option for option in options if option is not type(None)]
    for option in options:
        if dataclasses.is_dataclass(option):
            if _is_table(value):
                return from_table(option, value, where, key)
            continue
        origin, inner = typing.get_origin(option) or option, typing.get_args(option)
        if origin is dict and _is_table(value):
            return {name: _value(inner[1], item, where, _dotted(key, name)) for name, item in value.items()}
        if origin is tuple and isinstance(value, (list, tuple)):
            kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
            if len(kinds) == len(value):
                return tuple(_value(k, item, where, key) for k, item in zip(kinds, value, strict=True))
        if option is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if option is Any or type(value) is option:
            return value
    wanted = " or ".join(getattr(o, "__name__", str(o)) if not typing.get_args(o) else str(o) for o in options)
    raise ValueError(f"{where}: key {key!r} must be {wanted}. Received: {value!r}.")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_table(value)
    return {key: _plain(item) for key, item in value.items()} if _is_table(value) else value


def _is_table(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _dotted(prefix: str, key: str) -> str:
    return f"{prefix}.{key}" if prefix else key


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else _literal(key)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_literal(item) for item in value)}]"
    return repr(value)
