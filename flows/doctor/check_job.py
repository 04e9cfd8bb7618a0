"""Check the stores, the network and the Ray cluster of a job, on the machine where it runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from flows.display.summary import counted
from pipeline.config import RestoreJob
from pipeline.errors import JobError
from pipeline.keys import WRITE_PROBE
from pipeline.store import open_store

from .findings import Finding, ok, wrong

LOOKED_AT = 1000


def check_job(job: RestoreJob) -> Iterator[Finding]:
    """Check if a job could run on this machine."""
    yield check_readable("source", job.source)
    if job.reference is not None:
        yield check_readable("reference", job.reference)
    yield check_writable(job.destination)
    yield check_prior(job.result.prior)


def check_readable(name: str, place: str) -> Finding:
    """Check if a store can be listed and read."""
    subject = f"{name} {place}"
    try:
        store = open_store(place, writable=False)
        listed = [info.key for info in islice(store.list(), LOOKED_AT)]
        if listed:
            store.head(listed[0])
    except JobError as error:
        return wrong(subject, str(error), "correct the folder or URL, or the credentials in the worker's environment")
    more = " or more" if len(listed) == LOOKED_AT else ""
    return ok(subject, f"can be read, {counted(len(listed), 'object')}{more}")


def check_writable(place: str) -> Finding:
    """Check if a store can be written to, by creating a small object, which stays."""
    subject = f"destination {place}"
    try:
        store = open_store(place, writable=True)
        store.create(WRITE_PROBE, b"deqir doctor found that it can write here\n")
        there = store.head(WRITE_PROBE) is not None
    except JobError as error:
        return wrong(subject, str(error), "correct the folder or URL, or the credentials in the worker's environment")
    if not there:
        return wrong(subject, "an object was written, but is missing", "look at the store's own log")
    return ok(subject, f"can be written to ({WRITE_PROBE})")


def check_prior(name: str) -> Finding:
    """Check if a network's weights are on this machine and undamaged."""
    import deqir

    subject = f"prior {name}"
    try:
        digest = deqir.prior_digest(name)
    except deqir.PriorError as error:
        remedy = "install deqir again" if name in deqir.priors.SHIPPED else f"deqir models fetch {name}"
        return wrong(subject, str(error), remedy)
    return ok(subject, f"is here, SHA-256 {digest[:16]}")


def check_ray(address: str | None) -> Finding:
    """Check if a cluster answers at an address, or for None if a cluster starts on this machine."""
    from pipeline.execution.ray.cluster import connected, nodes

    subject = f"Ray at {address}" if address else "Ray on this machine"
    try:
        with connected(address):
            found = nodes()
    except (JobError, OSError, RuntimeError) as error:
        return wrong(
            subject, str(error), "start the cluster, or correct ray_address" if address else "look at Ray's logs"
        )
    cpus, gpus = (sum(node.get(kind, 0.0) for node in found) for kind in ("CPU", "GPU"))
    return ok(
        subject, f"{'answers' if address else 'starts'}: {counted(len(found), 'node')}, {cpus:g} CPUs, {gpus:g} GPUs"
    )
