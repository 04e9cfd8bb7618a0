"""Make and check the schedule by which a deployment runs by itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import dateutil.rrule
from prefect._vendor.croniter.croniter import croniter
from prefect.schedules import Cron, Interval, RRule, Schedule

from pipeline.errors import ConfigurationError

UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
SHORTEST: Final = timedelta(minutes=1)
PLANNER: Final[Any] = croniter
"""The library by which the server plans runs, so it decides here, too; it has no types."""


def schedule_of(*, cron: str | None, interval: str | None, rrule: str | None, timezone: str | None) -> Schedule | None:
    """Return the schedule described by the options; None without a schedule.

    An interval counts from a fixed midnight in its time zone, so registering it again does not move it.

    Raises:
        ConfigurationError: Several schedules, a schedule that is invalid or never fires, or an unknown time zone.
    """
    given = [name for name, value in (("--cron", cron), ("--interval", interval), ("--rrule", rrule)) if value]
    if len(given) > 1:
        raise ConfigurationError(f"{' and '.join(given)} are two schedules; give a single schedule")
    if not given:
        if timezone is not None:
            raise ConfigurationError("--timezone needs --cron, --interval or --rrule; add a schedule or leave it out")
        return None
    zone = zone_of(timezone or "UTC")
    try:
        if cron:
            return coming_cron(Cron(cron, timezone=zone.key), cron)
        if rrule:
            return RRule(coming(rrule, zone), timezone=zone.key)
        return Interval(length_of(str(interval)), anchor_date=datetime(2024, 1, 1, tzinfo=zone), timezone=zone.key)
    except ValueError as error:
        raise ConfigurationError(f"{given[0]} {cron or rrule or interval!r}: {first_line(error)}") from error


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of a name.

    Raises:
        ConfigurationError: The name is unknown.
    """
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        raise ConfigurationError(
            f"--timezone {name}: no such time zone; use a name of the IANA list, such as Europe/Vienna"
        ) from error


def length_of(text: str) -> timedelta:
    """Return an interval written as "30m", "6h", "1d", or several of them as "1d12h".

    Raises:
        ValueError: It has another form, or is shorter than a minute.
    """
    if not re.fullmatch(r"([0-9]+[smhd])+", text):
        raise ValueError("write it as 30m, 6h, 1d or 1d12h")
    parts = re.findall(r"([0-9]+)([smhd])", text)
    length = sum((timedelta(**{UNITS[unit]: int(number)}) for number, unit in parts), timedelta())
    if length < SHORTEST:
        raise ValueError("the shortest interval is one minute, 1m")
    return length


def coming_cron(schedule: Schedule, cron: str) -> Schedule:
    """Return `schedule`, after a check of its cron expression.

    Raises:
        ValueError: It never fires, or has not exactly five fields (more would be for seconds and years).
    """
    fields, _ = PLANNER.expand(cron)  # "@daily" is expanded to its five fields
    if len(fields) != 5:
        raise ValueError("write five fields: minute, hour, day of the month, month, day of the week")
    try:
        PLANNER(cron, datetime.now(UTC)).get_next()
    except ValueError as error:
        raise ValueError("it has no time to come; correct its day and month") from error
    return schedule


def coming(rrule: str, zone: ZoneInfo) -> str:
    """Return `rrule`, after a check that it still has a time to come.

    Raises:
        ValueError: It is not a recurrence rule, or its times are over.
    """
    try:
        rule = dateutil.rrule.rrulestr(rrule)
        now = datetime.now(zone)
        coming = rule.after(now.astimezone(UTC) if is_aware(rule) else now.replace(tzinfo=None))
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not a recurrence rule of RFC 5545: {error}") from error
    if coming is None:
        raise ValueError("it has no time to come; correct its UNTIL or COUNT")
    return rrule


def is_aware(rule: dateutil.rrule.rrule | dateutil.rrule.rruleset) -> bool:
    """True if the times of a rule have their own time zone."""
    first = next(iter(rule), None)
    return first is not None and first.tzinfo is not None


def in_words(schedule: Schedule) -> str:
    """Return a schedule in words: "cron 0 3 * * *, Europe/Vienna"."""
    if schedule.cron:
        when = f"cron {schedule.cron}"
    elif schedule.rrule:
        when = f"rrule {schedule.rrule}"
    else:
        when = f"every {schedule.interval}"
    return f"{when}, {schedule.timezone}"


def first_line(error: Exception) -> str:
    """Return the first line of an error's message; libraries add further lines."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
