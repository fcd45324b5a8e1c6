"""Whether what the demo announced exists on the platforms, once for every reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scheduler.cli.demo_practice import Practice
from scheduler.cli.demo_week import BACK, GONE, Line


@dataclass(slots=True)
class Told:
    """A post, the mark that its words carry everywhere, and what became of its deliveries."""

    line: Line
    mark: str
    deliveries: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays which role: accounts by `page`, `other`, `list`, `chat`, `site`."""

    accounts: Mapping[str, Mapping[str, Any]]

    def __getitem__(self, role: str) -> Mapping[str, Any]:
        return self.accounts[role]

    @property
    def roles(self) -> Sequence[str]:
        return list(self.accounts)

    @property
    def adapter(self) -> str:
        """Of the page: its practice platform."""
        return str(self["page"]["adapter"])

    def channel(self, account_id: str | None) -> str:
        return next(
            (str(a["channel"]) for a in self.accounts.values() if a["id"] == account_id), ""
        )


@dataclass(slots=True)
class Verdict:
    """`lines`: channel and what its readers found; `wrong`: what they should not have."""

    lost: int = 0
    doubled: int = 0
    replayed: int = 0
    lines: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        return not (self.lost or self.doubled or self.replayed or self.wrong)


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares the story with what the platforms keep: not with what we believe we sent."""

    practice: Practice
    cast: Cast
    service_url: str

    async def judge(self, posts: Sequence[Told], *, lenient: bool) -> Verdict:
        """`lenient`: the page may have been back for a moment while the service restarted."""
        verdict = Verdict()
        found = {role: await self._found(role, posts) for role in self.cast.roles}
        for told in posts:
            for role, times in self._expected(told, verdict, lenient=lenient).items():
                self._compare(told, role, times, found[role][told.mark], verdict)
        for role in self.cast.roles:
            verdict.lines.append((self.cast[role]["channel"], _summary(role, found[role])))
        return verdict

    async def _found(self, role: str, posts: Sequence[Told]) -> dict[str, Counter[str]]:
        """By mark: how often each reader finds it there."""
        readers: dict[str, Counter[str]] = {told.mark: Counter() for told in posts}
        if role == "site":
            listed = await self.practice.text(f"{self.service_url}/blog/sitemap.xml")
            for mark, counted in readers.items():
                if times := listed.count(mark):
                    counted["everybody"] = times
            return readers
        account = self.cast[role]
        for entry in await self.practice.ledger(account["adapter"]):
            payload = entry["payload"]
            reader = payload.get("recipient") or payload.get("psid") or "everybody"
            for mark, counted in readers.items():
                if mark in entry["text"]:
                    counted[str(reader)] += 1
        return readers

    def _expected(self, told: Told, verdict: Verdict, *, lenient: bool) -> dict[str, int]:
        """How often each reader of a role should find it: once where it was meant to go; in the
        page's place the list carries it, unless it is promotional."""
        places = dict.fromkeys(self.cast.roles, 0) | dict.fromkeys(told.line.where, 1)
        if not places["page"]:
            return places
        page = self.cast["page"]["id"]
        (own,) = (one for one in told.deliveries if one["account_id"] == page)
        moment = (told.line.day, told.line.hour)
        stayed = own["state"] == "delivered"
        if stayed != (moment < GONE) and not lenient:
            verdict.wrong.append(f"“{told.line.title}” is {own['state']} on the page")
            verdict.replayed += stayed and moment >= BACK
        if not stayed:
            places["page"] = 0
            if told.line.kind != "promotional":
                places["list"] = 1
        return places

    def _compare(
        self, told: Told, role: str, times: int, found: Counter[str], verdict: Verdict
    ) -> None:
        channel = self.cast[role]["channel"]
        twice = sum(count - 1 for count in found.values())
        verdict.doubled += twice
        if twice:
            verdict.wrong.append(f"{channel}: “{told.line.title}” is there twice")
        if times and not found:
            verdict.lost += 1
            verdict.wrong.append(f"{channel}: “{told.line.title}” is missing")
        if not times and found:
            verdict.replayed += role == "page"
            verdict.wrong.append(f"{channel}: “{told.line.title}” should not be there")


def _summary(role: str, found: Mapping[str, Counter[str]]) -> str:
    posts = sum(bool(readers) for readers in found.values())
    people = {reader for readers in found.values() for reader in readers}
    once = all(times == 1 for readers in found.values() for times in readers.values())
    often = "each once" if once else "NOT each once"
    if role in {"list", "chat"}:
        return f"{posts} announcements to {len(people)} people, {often} for each of them"
    return f"{posts} announcements, {often}"
