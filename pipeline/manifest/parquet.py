"""Dataclasses as Parquet: the schema is the class, and nothing else goes in or comes out."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache
from itertools import chain
from types import UnionType
from typing import Any, Final, Generic, TypeVar, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ConfigurationError

T = TypeVar("T")
SIMPLE: Final = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True, slots=True)
class Table(Generic[T]):
    """Files of one kind of row.

    Attributes:
        row: The rows' class; each of its fields is a column, nullable where it may be None.
        name: The kind of file, for people.
        version: Raised with each change of the columns; files of other versions are refused, unless they only
            lack columns of `since`.
        since: The version that brought a column, for columns which are None where they are missing. Files are read from
            the version before the first of these on.
    """

    row: type[T]
    name: str
    version: int
    since: Mapping[str, int] = field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema, with name and version in its metadata."""
        return self._schema_of(self.version)

    def _schema_of(self, version: int) -> pa.Schema:
        known = _columns(self.row)  # type: ignore[arg-type]
        columns = [column for column in known if self.since.get(column.name, 0) <= version]
        return pa.schema(columns, metadata={"deqir": self.name, "version": str(version)})

    @property
    def _readable(self) -> tuple[int, ...]:
        """Versions this program reads."""
        return tuple(range(min(self.since.values(), default=self.version + 1) - 1, self.version + 1))

    def encode(self, rows: Sequence[T]) -> bytes:
        """Return the file of some rows; equal rows in equal order give equal bytes.

        Raises:
            TypeError, OverflowError, UnicodeError: A value is not of its field's type, or out of its range.
        """
        schema, hints = self.schema, get_type_hints(self.row)
        columns = []
        for column in schema:
            values = [getattr(row, column.name) for row in rows]
            _check_types(f"{self.row.__name__}.{column.name}", values, hints[column.name])
            columns.append(pa.array(map(_plain, values), column.type))
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_arrays(columns, schema=schema), buffer, compression="zstd")
        return buffer.getvalue()

    def decode(self, data: bytes) -> list[T]:
        """Return the rows of a file.

        Raises:
            ConfigurationError: It is damaged, another kind of file, or has an unknown version.
        """
        table = self._read(data)
        names = table.column_names
        columns = [_values(column) for column in table.columns]
        return [self.row(**dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]

    def decode_columns(self, data: bytes, names: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return some columns of a file, a tuple for each row; the others are not unpacked.

        Args:
            data: The file.
            names: Names of the columns; a column newer than the file is None in each row.

        Raises:
            ConfigurationError: It is damaged, another kind of file, or has an unknown version.
        """
        table = self._read(data, names)
        there, missing = set(table.column_names), [None] * table.num_rows
        return list(zip(*(_values(table[name]) if name in there else missing for name in names), strict=True))

    def count(self, data: bytes) -> int:
        """Return the number of rows in a file, without unpacking any.

        Raises:
            ConfigurationError: It is damaged, another kind of file, or has an unknown version.
        """
        return int(self._read(data, []).num_rows)

    def _read(self, data: bytes, names: Sequence[str] | None = None) -> pa.Table:
        try:
            with pq.ParquetFile(pa.BufferReader(data)) as file:
                self._check(file.schema_arrow)
                # in this thread alone: one of Arrow's may let go of `data` as late as when Python ends, and abort it
                return file.read(names, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise ConfigurationError(
                f"not a {self.name} but {len(data)} damaged bytes or another kind of file: {error}"
            ) from error

    def _check(self, found: pa.Schema) -> None:
        metadata = found.metadata or {}
        name, version = (metadata.get(key, b"").decode(errors="replace") for key in (b"deqir", b"version"))
        if name != self.name:
            raise ConfigurationError(f"not a {self.name} but {name or 'Parquet of other programs'}")
        known = [str(each) for each in self._readable]
        if version not in known:
            raise ConfigurationError(
                f"a {self.name} of schema version {version}, where this deqir knows version {', '.join(known)}; "
                "use the deqir that wrote it, or another destination"
            )
        if not found.equals(self._schema_of(int(version))):
            raise ConfigurationError(f"a {self.name} whose columns are not those of version {version}")


@cache
def _columns(row: type[Any]) -> tuple[pa.Field, ...]:
    """Return the columns of a class, once: to find them anew for each file takes as long as to read a small one."""
    hints = get_type_hints(row)
    return tuple(_column(each.name, hints[each.name]) for each in fields(row))


def _column(name: str, hint: Any) -> pa.Field:
    nullable = isinstance(hint, UnionType)
    if nullable:
        (hint,) = set(get_args(hint)) - {type(None)}
    return pa.field(name, _type(hint), nullable=nullable)


def _type(hint: Any) -> pa.DataType:
    match get_origin(hint), get_args(hint):
        case origin, (item,) if origin is list:
            return pa.list_(pa.field("element", _type(item), nullable=False))
        case origin, (key, value) if origin is dict:
            return pa.map_(_type(key), pa.field("value", _type(value), nullable=False))
    return SIMPLE[hint]


def _check_types(name: str, values: Iterable[Any], hint: Any) -> None:
    """Raise TypeError for a value whose type is not its field's.

    Arrow itself would cut 1.5 down to 1, and write None into a map's column.
    """
    if isinstance(hint, UnionType):
        (hint,) = set(get_args(hint)) - {type(None)}
        values = [value for value in values if value is not None]
    wanted, items = get_origin(hint) or hint, get_args(hint)
    for found in set(map(type, values)):
        is_whole_number_for_float = wanted is float and found is int
        if not (issubclass(found, wanted) or is_whole_number_for_float) or (found is bool and wanted is int):
            raise TypeError(f"{name} must be {wanted.__name__}, got {found.__name__}")
    if wanted is list:
        _check_types(f"{name}[...]", chain.from_iterable(values), items[0])
    if wanted is dict:
        _check_types(f"a key of {name}", chain.from_iterable(values), items[0])
        _check_types(f"a value of {name}", chain.from_iterable(map(dict.values, values)), items[1])


def _plain(value: Any) -> Any:
    return list(value.items()) if isinstance(value, dict) else value


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Return a column's values as a row's fields hold them."""
    values: list[Any] = column.to_pylist()
    if pa.types.is_map(column.type):
        return [None if pairs is None else dict(pairs) for pairs in values]
    return values
