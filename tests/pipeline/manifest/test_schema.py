"""Rows go into Parquet parts and come back the same; what is not a row does neither."""

from __future__ import annotations

import io
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.keys import Layout
from pipeline.manifest.brief import decode_briefs
from pipeline.manifest.schema import PARTS, SCHEMA, ManifestRow, encode_part, read_columns
from pipeline.status import Status
from pipeline.store import open_store
from tests.pipeline.rows import HINTS, NOW, read_rows, row

LAYOUT = Layout("0123456789abcdef")
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    dict[str, str]: st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    list[float]: st.lists(st.floats(allow_nan=False), max_size=4),
    list[str]: st.lists(st.text(max_size=5), max_size=3),
    list[int]: st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
}


def strategy(hint: Any) -> st.SearchStrategy[Any]:
    if hint in VALUES:
        return VALUES[hint]
    (inner,) = set(hint.__args__) - {type(None)}
    return st.none() | VALUES[inner]


rows = st.builds(ManifestRow, **{name: strategy(hint) for name, hint in HINTS.items()})


def test_the_schema_is_the_dataclass() -> None:
    assert SCHEMA.names == [field.name for field in fields(ManifestRow)]
    text, whole, real = pa.string(), pa.int64(), pa.float64()
    types = {
        str: text,
        int: whole,
        float: real,
        bool: pa.bool_(),
        datetime: pa.timestamp("us", tz="UTC"),
        dict[str, str]: pa.map_(text, pa.field("value", text, nullable=False)),
        list[float]: pa.list_(pa.field("element", real, nullable=False)),
        list[str]: pa.list_(pa.field("element", text, nullable=False)),
        list[int]: pa.list_(pa.field("element", whole, nullable=False)),
    }
    for column in SCHEMA:
        matching = [hint for hint in types if HINTS[column.name] in (hint, hint | None)]
        assert [types[hint] for hint in matching] == [column.type], column.name
        assert column.nullable == (HINTS[column.name] not in types), column.name
    for field in fields(ManifestRow):
        assert SCHEMA.field(field.name).nullable == (field.default is None)
    assert SCHEMA.metadata == {b"deqir": b"manifest part", b"version": b"6"}


@settings(deadline=None, max_examples=60)
@given(some=st.lists(rows, max_size=5))
def test_rows_come_back_as_they_were_ordered_by_key(some) -> None:
    found = PARTS.decode(encode_part(some))
    assert sorted(found, key=repr) == sorted(some, key=repr)
    assert [row.source_key for row in found] == sorted(row.source_key for row in some)


def test_the_same_rows_give_the_same_bytes_whoever_was_first() -> None:
    some = [row(source_key=key, source_etag=etag) for key in "ab" for etag in "12"]
    assert encode_part(some) == encode_part(some[::-1])


def test_a_part_is_parquet_that_other_programs_read() -> None:
    other = timezone(timedelta(hours=2))
    data = encode_part(
        [
            row(source_key="b", residual_history=[0.5, float("nan")], started_at=NOW.astimezone(other)),
            row(source_key="a", status=Status.FAILED, error="Дом"),
        ]
    )
    table = pq.read_table(io.BytesIO(data))
    assert table.schema == SCHEMA
    assert table["source_key"].to_pylist() == ["a", "b"]
    assert table["status"].to_pylist() == ["failed", "skipped"]
    assert table["started_at"].to_pylist() == [NOW, NOW]
    assert table["residual_history"].null_count == 1


def test_not_a_number_comes_back_as_such() -> None:
    (found,) = PARTS.decode(encode_part([row(residual_final=float("nan"), psnr=float("inf"))]))
    assert found.residual_final != found.residual_final
    assert found.psnr == float("inf")


@pytest.mark.parametrize(
    "wrong",
    [
        {"job_id": None},
        {"operator_parameters": None},
        {"operator_parameters": {"scale": None}},
        {"residual_history": [0.5, None]},
        {"steps": "many"},
        {"steps": 1.5},
        {"steps": True},
        {"nfe": 2**63},
        {"converged": 1},
        {"error": 404},
        {"error": "caf\udce9"},
        {"operator_parameters": {4: "scale"}},
        {"frontier_history": [1.5]},
        {"started_at": "yesterday"},
    ],
)
def test_a_value_that_is_not_of_its_columns_type_is_not_written(wrong) -> None:
    with pytest.raises((TypeError, OverflowError, UnicodeError)):
        encode_part([row(), row(**wrong)])


def altered(data: bytes, **metadata: str) -> bytes:
    """A part with other metadata in its schema."""
    table = pq.read_table(io.BytesIO(data))
    buffer = io.BytesIO()
    changed = {key.encode(): value.encode() for key, value in metadata.items()}
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | changed), buffer)
    return buffer.getvalue()


def test_a_part_of_another_version_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="schema version 7, where this deqir knows version 3, 4, 5, 6;"):
        PARTS.decode(altered(encode_part([row()]), version="7"))
    with pytest.raises(ConfigurationError, match="schema version 2, where"):
        PARTS.decode(altered(encode_part([row()]), version="2"))


SINCE = {
    4: ["mask_sha256", "guide_sha256", "psnr_given"],
    5: ["guide", "guide_by"],
    6: ["doubts", "decisions", "kind", "tone", "jpeg_quality", "blur"],
}


def as_written_by(version: int, some: list[ManifestRow]) -> bytes:
    """The part that an older version would have written."""
    later = [name for since, names in SINCE.items() if since > version for name in names]
    table = pq.read_table(io.BytesIO(encode_part(some))).drop_columns(later)
    buffer = io.BytesIO()
    metadata = {b"deqir": b"manifest part", b"version": str(version).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), buffer)
    return buffer.getvalue()


def test_parts_of_older_versions_are_read_without_what_came_later(tmp_path) -> None:
    """Beside newer ones, too, as in a job that was begun before and is finished now."""
    old = row(source_key="a", psnr=20.0)
    middle = row(source_key="b", psnr=20.0, mask_sha256="ab", psnr_given=18.0)
    recent = row(source_key="c", guide="/guides", guide_by="colour")
    new = row(source_key="d", doubts=["ringing: at edges"], decisions=[], blur=1.5)
    assert [getattr(old, name) for names in SINCE.values() for name in names] == [None] * 11
    store = open_store(str(tmp_path), writable=True)
    store.create(LAYOUT.part("0"), as_written_by(3, [old]))
    store.create(LAYOUT.part("1"), as_written_by(4, [middle]))
    store.create(LAYOUT.part("2"), as_written_by(5, [recent]))
    store.create(LAYOUT.part("3"), encode_part([new]))
    rows = [old, middle, recent, new]
    assert list(read_rows(store, LAYOUT)) == rows
    assert list(read_columns(store, LAYOUT)) == [(each.source_key, each.source_etag, each.status) for each in rows]
    briefs = [decode_briefs(store.get(LAYOUT.part(name), limit=2**20).data)[0][0] for name in "012"]
    assert [(each.psnr, each.psnr_given) for each in briefs] == [(20.0, None), (20.0, 18.0), (None, None)]


@pytest.mark.parametrize(("written", "claimed"), [(3, 4), (4, 3), (4, 5), (5, 4), (5, 3), (5, 6), (6, 5)])
def test_a_part_that_lacks_or_has_what_its_version_has_or_lacks_is_refused(written, claimed) -> None:
    with pytest.raises(ConfigurationError, match="columns are not those of version"):
        PARTS.decode(altered(as_written_by(written, [row()]), version=str(claimed)))


def test_columns_that_are_not_ours_are_refused() -> None:
    table = pq.read_table(io.BytesIO(encode_part([row()])))
    for other in (
        table.append_column("mood", [["good"]]).replace_schema_metadata(SCHEMA.metadata),
        table.drop_columns(["seed"]),
        table.cast(pa.schema([field.with_nullable(True) for field in SCHEMA], metadata=SCHEMA.metadata)),
    ):
        buffer = io.BytesIO()
        pq.write_table(other, buffer)
        with pytest.raises(ConfigurationError, match="columns are not those of version 6"):
            PARTS.decode(buffer.getvalue())


def test_what_is_no_part_is_refused() -> None:
    data = encode_part([row()])
    buffer = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), buffer)
    for other in (b"", b"PAR1", data[:-9], data[9:], data[: len(data) // 2], altered(data, deqir="plan")):
        with pytest.raises(ConfigurationError, match="not a manifest part"):
            PARTS.decode(other)
    with pytest.raises(ConfigurationError, match="Parquet of other programs"):
        PARTS.decode(buffer.getvalue())


def test_every_row_of_a_job_is_read_and_no_other_jobs(tmp_path) -> None:
    store = open_store(str(tmp_path), writable=True)
    assert list(read_rows(store, LAYOUT)) == []
    parts = {
        f"{shard:02d}": [row(shard_id=f"{shard:02d}", source_key=f"{shard}/{n}", status="skipped") for n in range(3)]
        for shard in range(30)
    }
    for shard_id, some in reversed(parts.items()):
        assert store.create(LAYOUT.part(shard_id), encode_part(some))
    store.create(Layout("f" * 16).part("99"), encode_part([row(source_key="of another job")]))
    assert list(read_rows(store, LAYOUT)) == [each for some in parts.values() for each in some]


def test_reading_may_stop_early(tmp_path) -> None:
    store = open_store(str(tmp_path), writable=True)
    for shard in range(30):
        store.create(LAYOUT.part(f"{shard:02d}"), encode_part([row()]))
    found = read_rows(store, LAYOUT)
    assert next(found) == replace(row(), status="skipped")
    found.close()  # type: ignore[attr-defined]


def test_a_damaged_part_is_named(tmp_path) -> None:
    store = open_store(str(tmp_path), writable=True)
    store.create(LAYOUT.part("77"), b"not Parquet")
    with pytest.raises(ConfigurationError, match=rf"{tmp_path}/{LAYOUT.part('77')} is not a manifest part"):
        list(read_rows(store, LAYOUT))
