"""When a deployment runs by itself: a schedule that is checked before anybody waits for it."""

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
"""What the server plans runs with, so that it has the last word; it has no types."""


def schedule_of(*, cron: str | None, interval: str | None, rrule: str | None, timezone: str | None) -> Schedule | None:
    """Return the schedule that the options describe; None if they describe none.

    An interval counts from a midnight in its time zone, so that registering it again does not move it.

    Raises:
        ConfigurationError: More than one, one that is not understood or never comes, an unknown time zone.
    """
    given = [name for name, value in (("--cron", cron), ("--interval", interval), ("--rrule", rrule)) if value]
    if len(given) > 1:
        raise ConfigurationError(f"{' and '.join(given)} are two schedules; give one")
    if not given:
        if timezone is not None:
            raise ConfigurationError("--timezone needs --cron, --interval or --rrule; leave it out or say when")
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
    """Return a time zone.

    Raises:
        ConfigurationError: There is none of that name.
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
        ValueError: It is written in another way, or is shorter than a minute.
    """
    if not re.fullmatch(r"([0-9]+[smhd])+", text):
        raise ValueError("write it as 30m, 6h, 1d or 1d12h")
    parts = re.findall(r"([0-9]+)([smhd])", text)
    length = sum((timedelta(**{UNITS[unit]: int(number)}) for number, unit in parts), timedelta())
    if length < SHORTEST:
        raise ValueError("the shortest interval is one minute, 1m")
    return length


def coming_cron(schedule: Schedule, cron: str) -> Schedule:
    """Return the schedule of a cron expression, after making sure that it has a time to come, and none every second.

    Raises:
        ValueError: It never comes, or has more than five fields: of seconds and of years.
    """
    fields, _ = PLANNER.expand(cron)  # those that "@daily" stands for, too
    if len(fields) != 5:
        raise ValueError("write five fields: minute, hour, day of the month, month, day of the week")
    try:
        PLANNER(cron, datetime.now(UTC)).get_next()
    except ValueError as error:
        raise ValueError("it has no time to come; correct its day and month") from error
    return schedule


def coming(rrule: str, zone: ZoneInfo) -> str:
    """Return a recurrence rule, after making sure that it still has a time to come.

    Raises:
        ValueError: It is not one, or its times are over.
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
    """Return whether the times of a rule name their own time zone."""
    first = next(iter(rule), None)
    return first is not None and first.tzinfo is not None


def in_words(schedule: Schedule) -> str:
    """Return a schedule as people say it: "cron 0 3 * * *, Europe/Vienna"."""
    if schedule.cron:
        when = f"cron {schedule.cron}"
    elif schedule.rrule:
        when = f"rrule {schedule.rrule}"
    else:
        when = f"every {schedule.interval}"
    return f"{when}, {schedule.timezone}"


def first_line(error: Exception) -> str:
    """Return what an error says, without what a library adds on further lines."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
