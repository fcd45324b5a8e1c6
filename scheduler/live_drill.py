"""A live drill: the page of a practice platform vanishes, plan B runs for real, the page returns
and what has not left comes back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from channels.http import AnswerLostError, HttpClient, NotSentError
from scheduler.drill import Drill, DrillReport
from scheduler.health import Doctor
from scheduler.refusals import Refusal, RefusedError, conflict, invalid, not_found
from scheduler.roster import Member, Roster
from scheduler.settings import Settings
from scheduler.undo import Undo

GONE = "page-gone"


def practises(member: Member, settings: Settings) -> bool:
    """Whether it is an account of this machine's practice platforms."""
    account: Any = member.account.settings
    here = f"http://127.0.0.1:{settings.practice_port}/"
    return str(getattr(account, "base_url", "")).startswith(here)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveDrill:
    """Only for accounts of the practice platforms: nothing real is ever made to vanish."""

    roster: Roster
    http: HttpClient
    settings: Settings
    drill: Drill
    doctor: Doctor
    undo: Undo

    async def run(self, account_id: str, actor: str) -> DrillReport:
        """The dry run's report, of what then happened. Error: RefusedError."""
        member = (await self.roster.members([account_id])).get(account_id)
        if member is None:
            raise not_found("account", account_id)
        if not practises(member, self.settings):
            raise invalid(
                "live",
                f"{member.account.name} is no account of the practice platforms",
                "leave `live` out: a dry run publishes nothing",
            )
        report = await self.drill.rehearse(account_id)
        hurried = replace(self.doctor, hurried=True)
        await self._fault("POST", member)
        try:
            await hurried.probe(account_id)
            health = await hurried.probe(account_id)
        finally:
            await self._fault("DELETE", member)
        await hurried.probe(account_id)
        await self.undo.account(account_id, actor)
        if health is None or health.status.value != "vanished":
            found = "nothing" if health is None else health.status.value
            raise conflict(f"the practice page did not vanish: {found}", "look at its faults")
        return report

    async def _fault(self, method: str, member: Member) -> None:
        platform = member.channel.name
        url = f"http://127.0.0.1:{self.settings.practice_port}/_control/{platform}/faults"
        try:
            await self.http.request(
                method, url,
                json_body={"name": GONE} if method == "POST" else None,
                params={"name": GONE} if method == "DELETE" else None,
            )  # fmt: skip
        except (NotSentError, AnswerLostError) as error:
            raise RefusedError(
                Refusal.UNAVAILABLE, f"the practice platforms do not answer: {error}"
            ) from error
