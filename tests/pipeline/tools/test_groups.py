"""Images that were degraded alike are one group, with the command that undoes their damage."""

from __future__ import annotations

import pytest

from deqir.estimation import Estimate, JpegEstimate, NoiseEstimate, UpscalingEstimate
from pipeline.tools.estimate import Estimated
from pipeline.tools.groups import grouped


def about(value: float) -> Estimate:
    return Estimate(value=value, low=0.8 * value, high=1.2 * value)


def image(
    key: str,
    *,
    kind: str = "photograph",
    quality: int | None = None,
    noise: float | None = None,
    blur: float | None = None,
    scale: float | None = None,
    grain: float = 0.0,
) -> Estimated:
    return Estimated(
        key=key,
        width=64,
        height=64,
        kind=kind,
        tone="colour",
        jpeg=None if quality is None else JpegEstimate(quality=quality, agreement=1.0, offset=(0, 0)),
        noise=None
        if noise is None
        else NoiseEstimate(sigma=about(noise / 255), channels=(noise / 255,) * 3, grain=about(grain)),
        blur=None if blur is None else about(blur),
        upscaling=None if scale is None else UpscalingEstimate(scale=scale, prominence=20.0),
    )


def test_jpegs_of_neighbouring_qualities_are_one_group_described_by_their_range() -> None:
    groups = grouped([image("a", quality=62), image("b", quality=75), image("c", quality=90), image("d", quality=70)])
    assert [group.keys for group in groups] == [("a", "b", "d"), ("c",)]
    assert groups[0].text == "colour photographs, JPEGs of quality 62 to 75"
    assert groups[0].command == "deqir restore SRC DST --task jpeg"
    assert groups[1].command is None
    assert groups[1].advice == "nothing to restore was found"


@pytest.mark.parametrize(
    ("one", "text", "command"),
    [
        (image("a", noise=10), "noise of about 10 of 255", "--task denoise --noise 0.039"),
        (image("a", noise=10, grain=0.8), "grain of about 10 of 255", "--task denoise --noise 0.039"),
        (
            image("a", blur=1.8, noise=3, quality=85),
            "blurred (about 1.8 pixels)",
            "--task deblur --width 1.8 --noise 0.012",
        ),
        (image("a", blur=1.0), "a little blurred (about 1.0 pixels)", "--task deblur --width 1.0 --noise 0.004"),
        (image("a", scale=3), "enlarged by 3", "--task sr --scale 3"),
    ],
)
def test_a_group_has_a_description_and_the_command_that_undoes_it(one, text, command) -> None:
    (group,) = grouped([one])
    assert text in group.text
    assert group.command == f"deqir restore SRC DST {command}"


@pytest.mark.parametrize(("kind", "word"), [("text", "line art"), ("graphics", "pixel art"), ("flat", "flat")])
def test_pictures_that_are_no_photographs_are_left_alone(kind, word) -> None:
    (group,) = grouped([image("a", kind=kind, quality=20), image("b", kind=kind)])
    assert word in group.text
    assert group.command is None
    assert group.advice is not None
    assert "left alone" in group.advice


def test_images_that_were_not_read_are_in_no_group() -> None:
    assert grouped([Estimated(key="a", error="DecodeError: torn")]) == []
