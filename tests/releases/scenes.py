"""The recorded jobs of a release: done, interrupted, failed, tried again, and of every task and option."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tests.releases.pictures import picture, scratch, streak

State = Literal["ended", "killed", "retried", "retry killed"]
"""Progress of a job: its run ended; was killed; ended, and a retry, too; ended, and a retry was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A job to be recorded. In texts, {at} stands for the URL of its own prefix in the bucket.

    Attributes:
        name: The prefix; sources are below NAME/in/, the destination is NAME/out.
        objects: Everything there at first, by key below the prefix.
        options: Of the command `deqir restore` at the job's begin.
        state: In which it is recorded.
        remade: All outputs and rows are deleted before the job goes on, as if its process had died after planning.
        deleted: Other keys below its prefix, to be deleted before the job goes on.
        retried: Options of the command `deqir retry` to go on with; None: the first command goes on.
    """

    name: str
    objects: Mapping[str, bytes]
    options: Sequence[str] = ()
    state: State = "ended"
    remade: bool = False
    deleted: Sequence[str] = ()
    retried: Sequence[str] | None = None

    def restore(self, at: str) -> list[str]:
        """Return the first command."""
        return [each.format(at=at) for each in ("restore", "{at}/in", "{at}/out", *self.options)]

    def retry(self, at: str) -> list[str]:
        """Return the command of a retry."""
        return ["retry", f"{at}/out", *(self.retried or ())]

    def then(self, at: str) -> list[str]:
        """Return the second command, which goes on with the job."""
        return self.restore(at) if self.retried is None else self.retry(at)


LOCAL: Final = ("--executor", "local")
QUICK: Final = ("--task", "sr", "--scale", "2", *LOCAL)
SHARD: Final = 2
SLOW: Final = (*QUICK, "--steps", "24", "--start-noise", "0.2")
PARTS: Final = ("--shard-size", str(SHARD))
TOO_LARGE: Final = ("--max-pixels", "1000")
ANY_SIZE: Final = ("--max-pixels", "100000")

TWO: Final = {"in/a.png": picture(1), "in/b.jpg": picture(2, kind="JPEG")}
GREY: Final = {"in/a.png": picture(1, mode="L"), "in/b.jpg": picture(2, mode="L", kind="JPEG")}
MASKS: Final = {"masks/a.png": scratch(3), "masks/b.png": scratch(8)}
GUIDES: Final = {"guides/a.png": picture(1, size=(32, 24)), "guides/b.png": picture(2, size=(32, 24))}
SMALL_GUIDES: Final = {"guides/a.png": picture(1, size=(8, 6)), "guides/b.png": picture(2, size=(8, 6))}
ORIGINALS: Final = {"originals/a.png": picture(1, size=(32, 24)), "originals/b.png": picture(2, size=(33, 24))}
NOISY: Final = {
    "in/a.png": picture(1, size=(36, 32), grain=15),
    "in/b.png": picture(2, size=(36, 32), grain=15, mode="L"),
}
LARGE: Final = {"in/small.png": picture(7)} | {f"in/large/{n}.png": picture(n, size=(20, 14)) for n in range(6)}
ILL: Final = {
    "in/good.png": picture(1),
    "in/cut.png": picture(2)[:90],
    "in/empty.jpg": b"",
    "in/large.png": picture(3, size=(20, 14)),
    "in/taken.png": picture(4),
    "in/notes.txt": b"taken in 1931",
    "in/._good.png": b"\0\5\26\7",
    "out/taken.png": picture(5),
}

STATES: Final = (
    Scene(
        name="done",
        objects={
            "in/a/one.png": picture(1, size=(12, 8)),
            "in/b/two.jpg": picture(2, size=(12, 8), kind="JPEG"),
            "in/readme.txt": b"two pictures",
        },
    ),
    Scene(
        name="interrupted",
        objects={f"in/{n // 3}/{n}.png": picture(n) for n in range(6)},
        options=(*SLOW, *PARTS),
        state="killed",
    ),
    Scene(name="failed", objects=ILL, options=(*QUICK, *TOO_LARGE), deleted=("out/taken.png",), retried=ANY_SIZE),
    Scene(name="retried", objects=LARGE, options=(*QUICK, *TOO_LARGE), state="retried", retried=ANY_SIZE),
    Scene(
        name="retrying",
        objects=LARGE,
        options=(*SLOW, *TOO_LARGE),
        state="retry killed",
        retried=(*ANY_SIZE, *PARTS),
    ),
)

TASKS: Final[Mapping[str, tuple[Mapping[str, bytes], Sequence[str]]]] = {
    "sr": (
        TWO | ORIGINALS,
        (
            *("--task", "sr", "--scale", "2", "--kernel", "bicubic", "--noise", "0.02", "--seed", "7", "--eta", "0.8"),
            *("--steps", "4", "--start-noise", "0.1", "--mode", "latency", "--surrogate", "wiener"),
            *("--tolerance", "0.02", "--format", "jpeg", "--quality", "90", "--reference", "{at}/originals"),
            *("--shard-size", "1", "--batch-size", "2", *ANY_SIZE, "--max-minutes", "30", "--device", "cpu"),
        ),
    ),
    "sr-guided": (
        TWO | GUIDES,
        ("--task", "sr", "--scale", "2", "--guide", "{at}/guides", "--format", "webp", "--quality", "80"),
    ),
    "sr-large": (TWO, ("--task", "sr", "--scale", "2", "--prior", "bundled-large")),
    "deblur": (TWO, ("--task", "deblur", "--width", "1.2")),
    "deblur-uniform": (
        {"in/a.png": picture(3, size=(24, 20))},
        (
            *("--task", "deblur", "--blur", "uniform", "--width", "3", "--noise", "0.01", "--mode", "throughput"),
            *("--steps", "2", "--start-noise", "0.1", "--tile", "16", "--overlap", "4"),
        ),
    ),
    "deblur-motion": (
        TWO,
        ("--task", "deblur", "--blur", "motion", "--width", "5", "--angle", "30", "--steps", "3"),
    ),
    "deblur-file": (
        TWO | {"blur.png": streak()},
        (
            *("--task", "deblur", "--blur", "file", "--kernel-file", "{at}/blur.png", "--noise", "0.02"),
            *("--steps", "2", "--optimise", "2"),
        ),
    ),
    "inpaint": (
        TWO | {"mask.png": scratch(5)},
        ("--task", "inpaint", "--mask", "{at}/mask.png", "--mode", "paper", "--steps", "4"),
    ),
    "inpaint-masks": (
        TWO | MASKS | {"in/has-no-mask.png": picture(3)},
        ("--task", "inpaint", "--masks", "{at}/masks"),
    ),
    "old-photo": (
        GREY | {"mask.png": scratch(5)},
        ("--task", "old-photo", "--task", "sr", "--scale", "2", "--mask", "{at}/mask.png"),
    ),
    "old-photo-masks": (
        TWO | MASKS,
        (
            *("--task", "old-photo", "--colour", "--scale", "3", "--masks", "{at}/masks"),
            *("--mode", "latency", "--surrogate", "data"),
        ),
    ),
    "colorize": (
        GREY | SMALL_GUIDES,
        (
            *("--task", "colorize", "--guide", "{at}/guides", "--guide-by", "colour", "--optimise", "2"),
            *("--samples", "2", "--steps", "2"),
        ),
    ),
    "denoise": (
        NOISY,
        ("--task", "denoise", "--noise", "auto", "--steps", "3", "--mode", "latency", "--surrogate", "eps"),
    ),
}
"""Objects and options of a job of each task; together they name every option, most with another value than its own."""

SCENES: Final = (
    *STATES,
    *(
        Scene(name=name, objects=objects, options=(*options, *LOCAL), remade=True)
        for name, (objects, options) in TASKS.items()
    ),
)
