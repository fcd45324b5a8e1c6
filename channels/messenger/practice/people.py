"""The people of the practice Messenger, and when each of them last wrote to the page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from channels.sandbox.ledger import Ledger

WINDOW_SECONDS = 24 * 3600.0
_DEFAULTS = (
    ("7301946285510001", "Awa Diallo", "fr", 1.0),
    ("7301946285510002", "Bruno Keller", "en", 3.0),
    ("7301946285510003", "Chloé Martin", "fr", 8.0),
    ("7301946285510004", "Driss Alaoui", "fr", 20.0),
    ("7301946285510005", "Emma Roth", "en", 50.0),
)


@dataclass(slots=True)
class Person:
    """`wrote_at`: Unix seconds of their last message, None if they never wrote."""

    psid: str
    name: str
    language: str = "en"
    wrote_at: float | None = None
    blocks_us: bool = False

    @property
    def window_open(self) -> bool:
        return self.wrote_at is not None and time.time() - self.wrote_at < WINDOW_SECONDS


class People:
    """Everybody who ever wrote to the page. Added ones and what they wrote outlive a restart; the
    five of the start begin anew, so that a demo of the next day finds open windows."""

    def __init__(self, ledger: Ledger, platform: str) -> None:
        self._ledger = ledger
        self._platform = platform
        now = time.time()
        self._people = {
            psid: Person(psid, name, language, now - hours * 3600)
            for psid, name, language, hours in _DEFAULTS
        }
        for entry in ledger.entries(platform, kind="person"):
            self._people[entry.remote_id] = Person(entry.remote_id, **entry.payload)
        for entry in ledger.entries(platform, kind="in"):
            self._people[entry.payload["psid"]].wrote_at = max(
                entry.created_at, self._people[entry.payload["psid"]].wrote_at or 0
            )

    def __iter__(self) -> Iterator[Person]:
        return iter(self._people.values())

    def get(self, psid: str) -> Person | None:
        return self._people.get(psid)

    def add(self, page_id: str, person: Person) -> None:
        """Error: ValueError if the id is taken."""
        if person.psid in self._people:
            raise ValueError(f"{person.psid} is somebody already")
        payload = {
            "name": person.name,
            "language": person.language,
            "wrote_at": person.wrote_at,
            "blocks_us": person.blocks_us,
        }
        self._ledger.write(
            self._platform,
            page_id,
            kind="person",
            remote_id=person.psid,
            text=person.name,
            payload=payload,
        )
        self._people[person.psid] = person
