"""Build all object keys: of a job's records and of its outputs. No other module builds keys.

A destination holds the restored images in the same tree as the source. Below `.deqir/` it holds the records of
every job of this destination:

    .deqir/<job id>/job.json                    the settings
    .deqir/<job id>/samples/<output key>/<name>  further samples of an image, their mean and their spread
    .deqir/<job id>/aside/<output key>          a restored image that is not trusted, kept apart
    .deqir/<job id>/accepted/<name>.parquet     which of these were accepted, by whom and when
    .deqir/<job id>/file                        the copy of a mask or of the image of a blur
    .deqir/<job id>/plan/000000.parquet         the inputs to restore; 000001 and on: inputs found later
    .deqir/<job id>/manifest/<shard id>.parquet the rows of a shard's inputs: a part of the manifest
    .deqir/events/<batch id>.jsonl              the keys of a batch of storage events

**Names that look alike.** Keys are compared as they are stored: `A.jpg` and `a.jpg`, or a name in two Unicode
normal forms, are two inputs with two outputs. Some file systems ignore case and cannot hold both. There the second
output finds its key taken and becomes a `conflict` row; nothing is overwritten.

**Names in another encoding than UTF-8** can exist in folders. These inputs are refused, and their rows show the
names as written by `escaped`.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final

from .errors import UnsafeKeyError

INTERNAL: Final = ".deqir/"
WRITE_PROBE: Final = f"{INTERNAL}doctor"  # `deqir doctor` writes it to test whether it can write
MAX_KEY_BYTES: Final = 1024
MAX_PART_BYTES: Final = 255
IMAGE_EXTENSIONS: Final = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp"))
OTHER_IMAGES: Final = frozenset(
    (
        *(".tif", ".tiff", ".gif", ".bmp", ".jp2", ".j2k", ".jpx", ".jxl", ".avif", ".heic", ".heif", ".psd", ".tga"),
        *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".pef", ".srw", ".raw"),
    )
)  # of images that cannot be restored
EXTENSIONS: Final = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}  # of each `OutputFormat`
ESCAPED: Final = "bytes://"
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_ESCAPE: Final = re.compile(r"\\(?:\\|x([0-9a-f]{2})|u([0-9a-f]{4}))")


@dataclass(frozen=True, slots=True)
class Layout:
    """Keys of one job's records in its destination."""

    job_id: str

    def job(self) -> str:
        """Key of the settings; a job exists if and only if this object exists."""
        return f"{INTERNAL}{self.job_id}/job.json"

    def file(self) -> str:
        """Key of the copy of a degradation's file (mask or image of a blur), in the file's own format."""
        return f"{INTERNAL}{self.job_id}/file"

    @property
    def samples(self) -> str:
        """Prefix of the keys of all samples."""
        return f"{INTERNAL}{self.job_id}/samples/"

    def samples_of(self, output_key: str, count: int, *, extension: str) -> tuple[str, ...]:
        """Return the keys of the files beside an output, the first of `count` samples: others, their mean, spread."""
        names = (*(f"sample-{number}" for number in range(2, count + 1)), "mean", "spread")
        return tuple(f"{self.samples}{output_key}/{name}{extension}" for name in names)

    def aside(self, output_key: str) -> str:
        """Key of a restored image that is not trusted; `output_key` is where it goes once it is accepted."""
        return f"{INTERNAL}{self.job_id}/aside/{output_key}"

    @property
    def acceptances(self) -> str:
        """Prefix of the keys of the records of accepted images."""
        return f"{INTERNAL}{self.job_id}/accepted/"

    def acceptance(self, name: str) -> str:
        """Key of a record of accepted images."""
        return f"{self.acceptances}{name}.parquet"

    @property
    def plans(self) -> str:
        """Prefix of the keys of all plan generations."""
        return f"{INTERNAL}{self.job_id}/plan/"

    def plan(self, generation: int) -> str:
        """Key of a generation of the plan, from 0 on."""
        return f"{self.plans}{generation:06d}.parquet"

    @property
    def parts(self) -> str:
        """Prefix of the keys of all manifest parts."""
        return f"{INTERNAL}{self.job_id}/manifest/"

    def part(self, shard_id: str) -> str:
        """Key of a shard's rows; the shard is done if and only if this object exists."""
        return f"{self.parts}{shard_id}.parquet"


def job_id_of(key: str) -> str | None:
    """Return the id of the job whose settings are at this key; None for every other key."""
    match key.split("/"):
        case [".deqir", job_id, "job.json"] if job_id:
            return job_id
    return None


def event_list(batch_id: str) -> str:
    """Return the key of the file with the keys of a batch of storage events."""
    return f"{INTERNAL}events/{batch_id}.jsonl"


def provenance(job_id: str, source_sha256: str, *, mask: str | None = None, guide: str | None = None) -> str:
    """Return the text in an output by which a later run recognises it: the job and the digests of its input files.

    The digest of a mask or guide that the image does not have is None.
    """
    beside = (f":{name}={digest}" for name, digest in (("mask", mask), ("guide", guide)) if digest is not None)
    return f"{job_id}:{source_sha256}{''.join(beside)}"


def check_key(key: str) -> None:
    """Raise UnsafeKeyError if an input's key cannot be used unchanged below another prefix."""
    if _SURROGATE.search(key):
        raise UnsafeKeyError(rf"the name {escaped(key)} is not UTF-8 (\xNN are its bytes); rename the file")
    if _CONTROL.search(key):
        raise UnsafeKeyError(f"the key {key!r} holds control characters; rename the object")
    parts = key.split("/")
    if ".." in parts or "." in parts:
        raise UnsafeKeyError(f"the key {key} has a part . or .., which leads elsewhere; rename the object")
    if "" in parts:
        raise UnsafeKeyError(
            f"the key {key} has an empty part (// or a / at an end), which no folder holds; rename the object"
        )
    if key.startswith(INTERNAL):
        raise UnsafeKeyError(f"the key {key} lies in .deqir/, where deqir keeps its records; rename the object")


def check_output_key(key: str, *, of: str = "its output") -> None:
    """Raise UnsafeKeyError if a key to be written is longer than folders or S3 allow. `of` names its object."""
    if (size := len(key.encode())) > MAX_KEY_BYTES:
        raise UnsafeKeyError(
            f"the key of {of} would have {size} bytes of UTF-8, S3 allows {MAX_KEY_BYTES}; shorten its name"
        )
    if (size := max(len(part.encode()) for part in key.split("/"))) > MAX_PART_BYTES:
        raise UnsafeKeyError(
            f"a part of the key of {of} would have {size} bytes of UTF-8, folders allow {MAX_PART_BYTES}; "
            "shorten its name"
        )


def has_image_name(key: str) -> bool:
    """True if the name of an object has an image's extension and is not of a resource fork."""
    return posixpath.splitext(key)[1].lower() in IMAGE_EXTENSIONS and not is_resource_fork(key)


def has_other_image_name(key: str) -> bool:
    """True if the name of an object is that of an image of a kind that cannot be restored."""
    return posixpath.splitext(key)[1].lower() in OTHER_IMAGES and not is_resource_fork(key)


def is_resource_fork(key: str) -> bool:
    """True for a file such as ._photo.jpg: a Mac writes it beside each file on a foreign file system."""
    return posixpath.basename(key).startswith("._")


def output_keys(keys: Iterable[str], *, extension: str, taken: Container[str]) -> dict[str, str]:
    """Return the output key of each input: its own key with another extension, a/b/photo.jpg -> a/b/photo.png.

    Inputs with the same output key all keep their full names: photo.jpg and photo.png become photo.jpg.png and
    photo.png.png. An input whose output key is then taken by a full name (photo.jpg.png) keeps its full name, too.
    If the full name is taken, a number is added: photo.jpg.2.png. No two inputs get the same key, and the result
    does not depend on their order.

    Args:
        keys: Keys of the inputs, each once, all with image names.
        extension: Extension of the outputs, with its dot.
        taken: Keys not to be used, such as the output keys of an earlier plan.
    """
    names = {key: posixpath.splitext(key)[0] + extension for key in keys}
    claims = Counter(names.values())
    settled = {name: key for key, name in names.items() if claims[name] == 1 and name not in taken}
    moving = [key for key, name in names.items() if name not in settled]
    while moving:
        key = moving.pop()
        names[key] = next(name for name in _full_names(key, extension) if name not in taken)
        if names[key] in settled:
            moving.append(settled.pop(names[key]))
    return names


def copy_keys(key: str, output_key: str) -> tuple[str, ...]:
    """Return the keys at which the unchanged file of an input may be stored, the best first.

    The first is the input's own name wherever the plan keeps it free of outputs. Every output ends in the extension of
    the job's format. So a name with another extension is no output; and a file with that extension goes to its own
    output key, which no other input has. The own name may hold the copy of an older version of the input; then
    the second key is used, which differs between versions.
    """
    extension, own = posixpath.splitext(output_key)[1], posixpath.splitext(key)[1]
    if own == extension:
        return (output_key,)
    return (key,) if output_key == posixpath.splitext(key)[0] + extension else (key, output_key + own)


def _full_names(key: str, extension: str) -> Iterator[str]:
    """Yield an input's full names. Two inputs never share a full name, as no input's key ends in a number."""
    yield key + extension
    for number in count(2):
        yield f"{key}.{number}{extension}"


def escaped(key: str) -> str:
    r"""Return a key as text for any file format: unchanged if it is valid UTF-8, else escaped.

    An escaped key is like bytes://album/caf\xe9.jpg: each stray byte is \xNN, each backslash is doubled. Two keys
    never give the same text: a file's key has no empty part, and a key in S3 that begins with bytes:// (it is
    refused for its empty part) is escaped, too. `unescaped` gives the key back.
    """
    if not _SURROGATE.search(key) and not key.startswith(ESCAPED):
        return key
    return ESCAPED + _SURROGATE.sub(_escape, key.replace("\\", r"\\"))


def unescaped(text: str) -> str:
    """Return the key that `escaped` turned into this text, as Python names files."""
    if not text.startswith(ESCAPED):
        return text
    return _ESCAPE.sub(_unescape, text.removeprefix(ESCAPED))


def _escape(stray: re.Match[str]) -> str:
    code = ord(stray[0])
    return rf"\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else rf"\u{code:04x}"


def _unescape(escape: re.Match[str]) -> str:
    byte, code = escape.groups()
    if byte is not None:
        return chr(0xDC00 + int(byte, 16))
    return "\\" if code is None else chr(int(code, 16))
