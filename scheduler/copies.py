"""The scheduled encrypted copy of the audience, in a directory of its owner's choice: once a day,
caught up after an outage, and never a half one under its name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog

from scheduler.audience.links import audience_key
from scheduler.audience.sealing import Lock, SealError, write
from scheduler.clock import Clock, micros, moment
from scheduler.decide import SECOND
from scheduler.services import Services
from scheduler.settings import Settings
from scheduler.store import duties
from scheduler.store.alerts import raise_alert, resolve
from scheduler.store.db import Database

log = structlog.get_logger()

DUTY = "contacts-copy"
FACT = "copy:failed"
AGAIN_AFTER = 900 * SECOND
_PREFIX, _SUFFIX = "estafette-contacts-", ".jsonl.gz.age"


@dataclass(slots=True, kw_only=True)
class Copyist:
    """Makes the copies that `settings` ask for."""

    database: Database
    clock: Clock
    settings: Settings
    key: bytes
    _not_before: int = 0

    async def look(self) -> Path | None:
        """Make the copy that is due, if one is; a failure is an alert, and tried again later."""
        now = self.clock.micros()
        if self.settings.copies_dir is None or now < self._not_before:
            return None
        due = micros(last_due(moment(now), self.settings.copies_hour, self.settings.zone))
        ran = await duties.last_ran(self.database, DUTY)
        if ran is not None and ran >= due:
            return None
        try:
            made = await self.make(self.settings.copies_dir)
        except (OSError, SealError) as error:
            self._not_before = now + AGAIN_AFTER
            await self._failed(error)
            return None
        await duties.ran(self.database, DUTY, self.clock.micros())
        async with self.database.write() as connection:
            await resolve(connection, FACT, self.clock.micros())
        return made

    async def make(self, directory: Path) -> Path:
        """One copy, now; the oldest beyond `copies_keep` go. Errors: OSError, SealError."""
        stamp = f"{moment(self.clock.micros()):%Y%m%dT%H%M%SZ}"
        path = directory / f"{_PREFIX}{stamp}{_SUFFIX}"
        half = directory / f".{path.name}.{os.getpid()}.part"
        half.unlink(missing_ok=True)  # ours, from a life before this one
        try:
            counts = await write(self.database, self.key, lock_of(self.settings), half)
            half.rename(path)
        except BaseException:
            half.unlink(missing_ok=True)
            raise
        _settle(directory)
        for old in made_in(directory)[: -self.settings.copies_keep]:
            old.unlink(missing_ok=True)
        log.info("copy.made", file=str(path), contacts=counts.get("contacts", 0))
        return path

    async def _failed(self, error: OSError | SealError) -> None:
        said = (error.strerror if isinstance(error, OSError) else None) or str(error)
        log.error("copy.failed", directory=str(self.settings.copies_dir), why=said)
        async with self.database.write() as connection:
            await raise_alert(
                connection,
                self.database,
                fact=FACT,
                kind="copy.failed",
                severity="error",
                data={
                    "title": "The encrypted copy of the contacts failed",
                    "cause": f"{self.settings.copies_dir}: {said}",
                    "action": "make room, or make the directory writable; it is tried again",
                },
                now=self.clock.micros(),
            )


def last_due(now: datetime, hour: int, zone: str) -> datetime:
    """The last moment at or before `now` when the day's copy was due."""
    local = now.astimezone(ZoneInfo(zone))
    due = local.replace(hour=hour, minute=0, second=0, microsecond=0, fold=0)
    return due if due <= local else due - timedelta(days=1)


def lock_of(settings: Settings) -> Lock:
    return Lock(
        recipients=settings.copies_recipients, words=settings.copies_passphrase.get_secret_value()
    )


def made_in(directory: Path) -> list[Path]:
    """The copies in a directory, oldest first."""
    return sorted(directory.glob(f"{_PREFIX}*{_SUFFIX}"))


def copyist_of(services: Services) -> Copyist:
    """The copyist of one worker."""
    settings = services.settings
    return Copyist(
        database=services.database,
        clock=services.clock,
        settings=settings,
        key=audience_key(settings.audience_key.get_secret_value(), settings.data_dir),
    )


def _settle(directory: Path) -> None:
    """The new name is on disk too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
