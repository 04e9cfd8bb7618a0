"""Use Prefect's pages as a person does, from the form to the failures: check each page and take its screenshot."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
from pydantic import BaseModel

from infra.browser import NotShownError, Sight
from pipeline.config import RestoreJob

RAW: Final = ("data:image", "| ---", "<svg", "<table", "<img", "](", "undefined", "NaN")
STANDING: Final = re.compile(r"(\d+) of (\d+) images, (\d+) failed, ETA \d+ (?:s|min|h \d\d min), [\d.]+/min")
STARTS_WITHIN: Final = 120.0
ENDS_WITHIN: Final = 1200.0
ENDED: Final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def look(sight: Sight, api: str, out: Path, *, deployment: str, whole: Sequence[str], broken: Sequence[str]) -> None:
    """Start a run from its form, and take a screenshot of each of its pages.

    Args:
        sight: Page of the browser.
        api: URL of the Prefect server's API, to wait for the run's states.
        out: Folder for the pictures.
        deployment: Name of the deployment.
        whole, broken: Keys of the images to be restored, and of the broken files.

    Raises:
        NotShownError: A page does not show its expected content.
    """
    known = ask(api, "GET", f"/deployments/name/restore-archive/{deployment}")
    form(sight, known, out / "form.webp")
    run = submit(sight, api, known["id"])
    progress(sight, api, run, out / "run.webp", images=len(whole) + len(broken))
    until(ENDS_WITHIN, "the run to end", lambda: ask(api, "GET", f"/flow_runs/{run}")["state_type"] in ENDED)
    if (state := ask(api, "GET", f"/flow_runs/{run}")["state"])["type"] != "COMPLETED":
        raise NotShownError(f"the run ended as {state['name']}: {state['message']}")
    job = known["parameters"]["job"]
    summary(sight, artifacts(api, run), out / "summary.webp", restored=len(whole), failed=len(broken))
    failures(sight, artifacts(api, run), out / "failures.webp", broken=broken, destination=job["destination"])


def form(sight: Sight, deployment: dict[str, Any], picture: Path) -> None:
    """Check that the form has all fields, in the order of the job's settings, each with a description."""
    sight.go(f"/deployments/deployment/{deployment['id']}/run", height=1640)
    sight.shows("Parameters", "Validate parameters")
    labels = sight.page.locator(".schema-form-property__label")
    sight.see(labels.nth(len(expected_labels()) - 1), "all fields of the form")
    shown = [label.removesuffix(" (Optional)") for label in labels.all_inner_texts()]
    if shown != expected_labels():
        raise NotShownError(f"the form has the fields {shown}, not {expected_labels()}")
    silent = [
        label
        for label, box in zip(shown, sight.page.locator(".schema-form-property").all(), strict=True)
        if not box.locator(".schema-form-property__description").first.inner_text().strip()
    ]
    if silent:
        raise NotShownError(f"the form has no description for these fields: {silent}")
    first = sight.page.locator(".schema-form-property textarea").first.input_value()
    if first != deployment["parameters"]["job"]["source"]:
        raise NotShownError(f"the form's first field holds {first!r}, not the deployment's source")
    sight.keep(picture)


def expected_labels() -> list[str]:
    """Return the expected labels of the form, from the models of the job."""
    return ["job", *labels(RestoreJob)]


def labels(model: type[BaseModel]) -> Iterator[str]:
    """Yield the labels of a model's fields, each model's own label before those of its fields."""
    for name, field in model.model_fields.items():
        yield label(name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from labels(field.annotation)


def label(field: str) -> str:
    """Return the label of a field in Prefect's forms."""
    return field.replace("_", " ").title()


def submit(sight: Sight, api: str, deployment: str) -> str:
    """Press the form's button and return the id of the started run."""
    sight.page.locator("button[type=submit]").click()
    mine = {
        "deployments": {"id": {"any_": [deployment]}},
        "flow_runs": {"tags": {"operator": "or_"}, "state": {"type": {"not_any_": ["SCHEDULED"]}}},
        "sort": "START_TIME_DESC",
    }
    until(STARTS_WITHIN, "the run to start", lambda: ask(api, "POST", "/flow_runs/filter", mine))
    run: str = ask(api, "POST", "/flow_runs/filter", mine)[0]["id"]
    return run


def progress(sight: Sight, api: str, run: str, picture: Path, *, images: int) -> None:
    """Check the progress on the run's page, once the run has done some images and failed on a broken file."""

    def met_a_failure() -> bool:
        if ask(api, "GET", f"/flow_runs/{run}")["state_type"] in ENDED:
            raise NotShownError(f"run {run} ended before its progress showed a failed image")
        there = artifacts(api, run)
        found = STANDING.fullmatch(there["progress"]["description"]) if "progress" in there else None
        return found is not None and int(found[3]) > 0

    until(ENDS_WITHIN, "the run to meet a broken file", met_a_failure)
    sight.go(f"/runs/flow-run/{run}", height=1000)
    sight.shows("Running", "restore shard 1 of", "Cancel")
    sight.page.get_by_text("Artifacts", exact=True).last.click()
    card = sight.page.get_by_text(re.compile(rf"\d+ of {images} images, \d+ failed")).first
    sight.see(card, "the progress as a sentence")
    sight.shows(f"of {images} shards")
    if STANDING.fullmatch(card.inner_text()) is None:
        raise NotShownError(f"the page of a run of {images} images says {card.inner_text()!r}")
    sight.keep(picture)


def summary(sight: Sight, found: dict[str, dict[str, Any]], picture: Path, *, restored: int, failed: int) -> None:
    """Check the summary's page: counts, pictures and the plot of convergence."""
    sight.go(f"/artifacts/artifact/{found['summary']['id']}", height=3100)
    sight.shows(f"{restored} restored, {failed} failed", "Before and after", "Convergence", "deqir retry")
    sight.refuse(*RAW)
    if (count := sight.pictures()) < 2 * min(restored, 4) + 1:
        raise NotShownError(f"the summary shows {count} pictures only")
    sight.keep(picture)


def failures(
    sight: Sight, found: dict[str, dict[str, Any]], picture: Path, *, broken: Sequence[str], destination: str
) -> None:
    """Check the page of failures: each broken file, and the command to retry them."""
    sight.go(f"/artifacts/artifact/{found['failures']['id']}", height=700)
    sight.shows(*broken, f"deqir retry {destination} --job {found['summary']['key'].removeprefix('summary-')}")
    sight.refuse(*RAW)
    sight.keep(picture)


def artifacts(api: str, run: str) -> dict[str, dict[str, Any]]:
    """Return the artifacts of a run with a key, by the key's first word."""
    body = {"artifacts": {"flow_run_id": {"any_": [run]}}}
    found = ask(api, "POST", "/artifacts/filter", body)
    return {each["key"].split("-")[0]: each for each in found if each["key"] is not None}


def ask(api: str, method: str, path: str, body: Any = None) -> Any:
    """Return the answer of the server's API to a request."""
    return httpx.request(method, f"{api}{path}", json=body, timeout=60).raise_for_status().json()


def until(seconds: float, name: str, true: Callable[[], object]) -> None:
    """Wait until `true` returns a true value.

    Raises:
        NotShownError: It takes longer than `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise NotShownError(f"waited {seconds:.0f} s for {name}")
        time.sleep(0.5)
