"""When a page returns: nothing is replayed by itself; its owner may name there what was said
elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from channels.posts import Part
from scheduler.campaigns import filled_rows
from scheduler.clock import Clock
from scheduler.deliveries import Delivery
from scheduler.digest import catch_up_words
from scheduler.doorbell import Doorbell
from scheduler.foresight import DAY
from scheduler.gathering import DEADLINE
from scheduler.refusals import conflict, not_found
from scheduler.roads import BROKEN
from scheduler.roster import Roster
from scheduler.store import campaigns, digests, reroutes
from scheduler.store.db import Connection, Database
from scheduler.store.digests import NewDigest
from scheduler.store.events import append

WORTH_TELLING = 90 * DAY  # what was missed before is no news


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """The post to come: what it would say, and of how many posts it speaks."""

    title: str
    body: str
    posts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comeback:
    """One post for everything a page's followers missed."""

    database: Database
    roster: Roster
    clock: Clock
    doorbell: Doorbell
    zone: str

    async def preview(self, account_id: str) -> CatchUp:
        """What `publish` would publish. Error: RefusedError when there is nothing to say."""
        async with self.database.read() as connection:
            new, parents = await self._composed(connection, account_id)
        return CatchUp(title=new.title, body=new.content["body"], posts=len(parents))

    async def publish(self, account_id: str, actor: str) -> str:
        """Publish it, once a return; the post's id. Error: RefusedError."""
        member = (await self.roster.members([account_id])).get(account_id)
        if member is None:
            raise not_found("account", account_id)
        now = self.clock.micros()
        if member.status in BROKEN or member.paused_until > now:
            raise conflict("the account cannot publish yet", "resume or reconnect it first")
        async with self.database.write() as connection:
            await digests.lock_account(connection, account_id)
            new, parents = await self._composed(connection, account_id)
            post_id, delivery_id = await digests.create(connection, new, now)
            await digests.add_items(connection, delivery_id, parents, now)
            await append(
                connection,
                [
                    {
                        "at": now,
                        "kind": "account.caught-up",
                        "actor": actor,
                        "post_id": post_id,
                        "delivery_id": delivery_id,
                        "account_id": account_id,
                        "data": {"posts": len(parents)},
                    }
                ],
            )
        await self.doorbell.ring(now)
        return post_id

    async def _composed(
        self, connection: Connection, account_id: str
    ) -> tuple[NewDigest, list[Delivery]]:
        now = self.clock.micros()
        missed = await reroutes.missed_by(connection, account_id, since=now - WORTH_TELLING)
        if not missed:
            raise conflict("its followers missed nothing that was published since", "no need")
        parents = [parent for parent, _ in missed]
        stored = await digests.post_rows(connection, [parent.post_id for parent in parents])
        rows = filled_rows(stored, await campaigns.told_by(connection, stored), now)
        links = {parent.post_id: url for parent, url in missed if url}
        title, content = catch_up_words(rows, links)
        new = NewDigest(
            account_id=account_id, kind=digests.CATCH_UP, part=Part.CATCH_UP, slot=now,
            due_at=now, deadline_at=now + DEADLINE, zone=self.zone, title=title, content=content,
        )  # fmt: skip
        return new, parents
