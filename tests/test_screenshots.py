"""Taking the pictures of the documents, as far as it goes without a browser."""

from __future__ import annotations

import os

from tests.processes import ROOT, python

MOST_BYTES = 2**20


def test_without_chromium_it_says_what_to_install_and_starts_nothing(tmp_path) -> None:
    environment = os.environ | {"PATH": str(tmp_path)}
    run = python("-m", "infra.screenshots", "--out", tmp_path / "pictures", env=environment)
    assert run.returncode == 1
    assert run.stderr == "error: Chromium is not installed; run: apt-get install chromium\n"
    assert run.stdout == ""
    assert not list(tmp_path.iterdir())


def test_the_pictures_of_the_documents_are_small_together() -> None:
    pictures = list((ROOT / "docs" / "screenshots").iterdir())
    assert pictures
    assert sum(picture.stat().st_size for picture in pictures) < MOST_BYTES
