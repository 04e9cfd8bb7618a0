"""Every input gets an output key of its own, and a key that cannot be mirrored is refused with a reason."""

from __future__ import annotations

import posixpath
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.config import OutputFormat
from pipeline.errors import UnsafeKeyError
from pipeline.keys import (
    EXTENSIONS,
    INTERNAL,
    Layout,
    check_key,
    check_output_key,
    escaped,
    has_image_name,
    is_resource_fork,
    job_id_of,
    output_keys,
    provenance,
    unescaped,
)

LAYOUT = Layout("0123456789abcdef")

stems = st.sampled_from(["a", "b", "a.jpg", "a.png", "b.jpg.png", "a.jpg.2", "A", ".a", "é", "e\u0301"])
folders = st.sampled_from(["", "a/", "a.jpg/", "b/a/"])
extensions = st.sampled_from([".jpg", ".png", ".JPG", ".jpeg", ".webp"])
image_keys = st.builds("{}{}{}".format, folders, stems, extensions)


def test_a_jobs_records_lie_below_its_own_prefix() -> None:
    prefix = f"{INTERNAL}{LAYOUT.job_id}/"
    keys = [LAYOUT.job(), LAYOUT.file(), LAYOUT.plan(0), LAYOUT.plan(1), LAYOUT.part("77"), LAYOUT.parts]
    assert all(key.startswith(prefix) for key in keys)
    assert len(set(keys)) == len(keys)
    assert LAYOUT.part("77") == f"{prefix}manifest/77.parquet" == f"{LAYOUT.parts}77.parquet"
    assert sorted(map(LAYOUT.plan, range(20))) == list(map(LAYOUT.plan, range(20)))


def test_a_job_is_known_by_its_settings_and_by_nothing_else() -> None:
    assert job_id_of(LAYOUT.job()) == LAYOUT.job_id
    others = [LAYOUT.file(), LAYOUT.plan(0), LAYOUT.part("77"), "job.json", f"a/{LAYOUT.job()}", ".deqir//job.json"]
    assert [job_id_of(key) for key in others] == [None] * len(others)


def test_provenance_tells_jobs_and_inputs_apart() -> None:
    assert len({provenance(job, digest) for job in ("0a", "0b") for digest in ("1c", "1d")}) == 4
    beside = [{}, {"mask": "2e"}, {"guide": "2e"}, {"mask": "2e", "guide": "2e"}, {"mask": "2f"}]
    assert len({provenance("0a", "1c", **digests) for digests in beside}) == 5


def test_samples_lie_together_under_their_outputs_key() -> None:
    keys = LAYOUT.samples_of("a/b.png", 3, extension=".png")
    folder = f"{LAYOUT.samples}a/b.png/"
    assert keys == tuple(f"{folder}{name}.png" for name in ("sample-2", "sample-3", "mean", "spread"))


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (["a/b/photo.jpg"], ["a/b/photo.png"]),
        (["photo.JPG", "b.webp"], ["photo.png", "b.png"]),
        (["photo.jpg", "photo.png"], ["photo.jpg.png", "photo.png.png"]),
        (["photo.jpg", "x/photo.png"], ["photo.png", "x/photo.png"]),
        (["photo.jpg", "photo.png", "photo.jpg.png"], ["photo.jpg.png", "photo.png.png", "photo.jpg.png.png"]),
        (["photo.jpg.jpg", "photo.jpg"], ["photo.jpg.png", "photo.png"]),
        (["1905.07.jpg", "1905.08.jpg"], ["1905.07.png", "1905.08.png"]),
        (["A.jpg", "a.jpg"], ["A.png", "a.png"]),
    ],
)
def test_outputs_mirror_the_inputs_and_keep_full_names_where_they_would_collide(inputs, outputs) -> None:
    assert output_keys(inputs, extension=".png", taken=()) == dict(zip(inputs, outputs, strict=True))


def test_what_was_given_away_before_is_not_given_again() -> None:
    taken = {"photo.png"}
    assert output_keys(["photo.jpg"], extension=".png", taken=taken) == {"photo.jpg": "photo.jpg.png"}
    taken |= {"photo.jpg.png"}
    assert output_keys(["photo.jpg"], extension=".png", taken=taken) == {"photo.jpg": "photo.jpg.2.png"}
    taken |= {"photo.jpg.2.png"}
    found = output_keys(["photo.jpg", "photo.jpg.3.webp"], extension=".png", taken=taken)
    assert found == {"photo.jpg": "photo.jpg.3.png", "photo.jpg.3.webp": "photo.jpg.3.webp.png"}


@settings(deadline=None)
@given(keys=st.sets(image_keys, max_size=12), taken=st.sets(image_keys, max_size=6), seed=st.integers(0, 99))
@example(keys={"a.jpg", "a.png", "a.jpg.png", "a.jpg.jpg", "a.jpg.png.png"}, taken={"a.jpg.png"}, seed=0)
def test_no_key_is_given_twice_in_whatever_order_and_each_begins_like_its_input(keys, taken, seed) -> None:
    found = output_keys(sorted(keys), extension=".png", taken=taken)
    assert found.keys() == keys
    assert len(set(found.values())) == len(keys)
    assert not set(found.values()) & taken
    for key, output in found.items():
        assert output.startswith(posixpath.splitext(key)[0])
        assert output.endswith(".png")
    shuffled = random.Random(seed).sample(sorted(keys), len(keys))
    assert output_keys(shuffled, extension=".png", taken=taken) == found


@settings(deadline=None)
@given(keys=st.sets(image_keys, min_size=1, max_size=8))
def test_a_name_is_short_unless_that_would_take_it_from_another(keys) -> None:
    for key, output in output_keys(keys, extension=".png", taken=()).items():
        short = posixpath.splitext(key)[0] + ".png"
        others = {posixpath.splitext(other)[0] + ".png" for other in keys - {key}}
        full = {other + ".png" for other in keys - {key}}
        if short not in others | full:
            assert output == short


def test_hundreds_of_thousands_of_collisions_take_seconds() -> None:
    keys = [f"{n // 3}.{kind}" for n in range(100_000) for kind in ("jpg", "png", "jpg.png")]
    assert len(set(output_keys(keys, extension=".png", taken=()).values())) == len(set(keys))


def test_every_output_format_has_an_extension_that_names_an_image() -> None:
    assert EXTENSIONS.keys() == set(OutputFormat)
    assert all(has_image_name(f"a{extension}") for extension in EXTENSIONS.values())


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.jpe", "a.jfif", "a.Png", "a.webp", "a/b.c.png"])
def test_an_image_is_known_by_its_name(name) -> None:
    assert has_image_name(name)


@pytest.mark.parametrize("name", ["._a.jpg", "b/._a.PNG", "._.jpg", "._a.txt"])
def test_what_a_mac_writes_beside_each_file_is_no_image(name) -> None:
    assert is_resource_fork(name)
    assert not has_image_name(name)


@pytest.mark.parametrize("name", [".a.jpg", "._b/a.jpg", "a._.jpg", "_a.jpg"])
def test_names_that_only_resemble_it_are_those_of_images(name) -> None:
    assert not is_resource_fork(name)
    assert has_image_name(name)


@pytest.mark.parametrize("name", ["a", "jpg", ".jpg", "a/.png", "a.tif", "a.jpg.txt", "a.jpg/b", "a.jpg/", "a.jpg "])
def test_other_names_are_none_of_an_image(name) -> None:
    assert not has_image_name(name)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("../a.png", "leads elsewhere"),
        ("a/../b.png", "leads elsewhere"),
        ("a/./b.png", "leads elsewhere"),
        ("/a.png", "empty part"),
        ("a//b.png", "empty part"),
        ("a/", "empty part"),
        ("", "empty part"),
        ("a\0b.png", "control characters"),
        ("a\nb.png", "control characters"),
        ("a\x7fb.png", "control characters"),
        ("a\x85b.png", "control characters"),
        ("caf\udce9.png", r"bytes://caf\\xe9.png is not UTF-8"),
        (f"{INTERNAL}a.png", "its records"),
    ],
)
def test_a_key_that_would_leave_its_place_is_refused(key, text) -> None:
    with pytest.raises(UnsafeKeyError, match=text) as refusal:
        check_key(key)
    message = str(refusal.value)
    assert message.isprintable()
    assert "rename" in message
    message.encode()


@pytest.mark.parametrize("key", ["a.png", "..a/b..png", "a b/ü.png", "photo#12.png", "-.png", "a/.deqir/b.png", "%2e"])
def test_a_key_that_is_merely_odd_is_not(key) -> None:
    check_key(key)


def test_lengths_are_counted_in_bytes_of_what_will_be_written() -> None:
    check_output_key("é" * 125 + "a" + ".png")
    with pytest.raises(UnsafeKeyError, match="256 bytes of UTF-8, folders allow 255"):
        check_output_key("é" * 126 + ".png")
    check_output_key("/".join(["a" * 204] * 5))
    with pytest.raises(UnsafeKeyError, match="1025 bytes of UTF-8, S3 allows 1024"):
        check_output_key("/".join(["a" * 204] * 4 + ["a" * 205]))
    with pytest.raises(UnsafeKeyError, match="the key of its samples would have 2000 bytes"):
        check_output_key("a" * 2000, of="its samples")


names = st.lists(
    st.characters(exclude_categories=()) | st.sampled_from(["\udce9", "\\", "\\xe9", "bytes://"]), max_size=8
)


@settings(deadline=None)
@given(one=names.map("".join), other=names.map("".join))
@example(one="caf\udce9", other="caf\\xe9")
@example(one="bytes://caf\\xe9", other="caf\udce9")
@example(one="\ud800", other="\\ud800\udce9")
def test_any_name_can_be_written_down_and_read_back(one, other) -> None:
    written = escaped(one)
    written.encode()
    assert unescaped(written) == one
    assert (written == escaped(other)) == (one == other)


def test_a_name_that_is_text_is_written_as_it_is_and_any_other_can_still_be_read() -> None:
    assert escaped("album/Zoë\\xe9 #1.png") == "album/Zoë\\xe9 #1.png"
    assert escaped("album/caf\udce9.png") == r"bytes://album/caf\xe9.png"
