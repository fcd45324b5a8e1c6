"""Put a delivery into the digest of its day, take it out again, write the digest's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from channels.posts import Part, Reroute
from channels.sentences import reroute_note
from scheduler.campaigns import filled_rows
from scheduler.changes import Change, columns
from scheduler.deliveries import Delivery, State
from scheduler.digest import Room, digest_words, language_of, slot_after
from scheduler.leaning import hold, leaners
from scheduler.reroute import HOUR, Route
from scheduler.roads import takes_more
from scheduler.roster import Member
from scheduler.store import campaigns, desk, digests, reroutes
from scheduler.store.completions import write_changes
from scheduler.store.db import Connection, Database
from scheduler.store.digests import NewDigest

DEADLINE = 24 * HOUR
_SCATTERED = "the digest that would have said it was cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gatherer:
    """Works within the caller's transaction. `zone`: where the digest's hour is told."""

    zone: str
    now: int

    async def gather(
        self,
        connection: Connection,
        parent: Delivery,
        *,
        fallback: Member,
        origin: Member | None,
        route: Route,
        slot: int,
    ) -> Delivery:
        """The digest that says what `parent` would have said, on `fallback`, at `slot` or, when
        that one has left, on a day after."""
        await digests.lock_account(connection, fallback.id)
        digest = await digests.at_slot(connection, fallback.id, digests.DIGEST, slot)
        while digest is not None and not takes_more(digest):
            slot = slot_after(slot + 1, self.zone, route.digest_hour, route.day_us)
            digest = await digests.at_slot(connection, fallback.id, digests.DIGEST, slot)
        if digest is None:
            new = NewDigest(
                account_id=fallback.id,
                kind=digests.DIGEST,
                part=Part.DIGEST,
                slot=slot,
                due_at=slot,
                deadline_at=slot + DEADLINE,
                zone=self.zone,
                title="",
                content={},
            )
            await digests.create(connection, new, self.now)
            digest = await digests.at_slot(connection, fallback.id, digests.DIGEST, slot)
            assert digest is not None  # it was just created
        await digests.add_items(connection, digest.id, [parent], self.now)
        await self._write(connection, digest, fallback, origin, route.note)
        return digest

    async def leave(
        self,
        connection: Connection,
        digest: Delivery,
        post_id: str,
        everyone: Mapping[str, Member],
    ) -> list[Delivery]:
        """The digest no longer speaks of this post; the deliveries that stood in it for it."""
        gathered = await digests.parents_of(connection, digest.id)
        parents = [one for one in gathered if one.post_id == post_id]
        for parent in parents:
            await digests.remove_item(connection, digest.id, parent.id)
        if await digests.parents_of(connection, digest.id):
            await self.refresh(connection, digest, everyone)
        else:
            new = columns(digest, State.CANCELLED, self.now, cause="nothing is left to gather")
            await write_changes(connection, [Change(digest, digest.token, new)], self.now)
        return parents

    async def scatter(
        self, connection: Connection, database: Database, digest: Delivery, actor: str
    ) -> None:
        """A person cancelled the digest: each of its posts waits for a word, and so does what
        was not sent elsewhere because the digest said it."""
        parents = await digests.parents_of(connection, digest.id)
        for parent in parents:
            if parent.state is State.REROUTED:  # else undone before, or cancelled by itself
                await hold(connection, database, parent, _SCATTERED, actor, self.now)
        said = {parent.post_id for parent in parents}
        for one in await leaners(connection, said, digest.account_id):
            await hold(connection, database, one, _SCATTERED, actor, self.now)

    async def refresh(
        self, connection: Connection, digest: Delivery, everyone: Mapping[str, Member]
    ) -> None:
        """Say anew what it gathers: something of it reads otherwise now."""
        fallback = everyone.get(digest.account_id)
        parents = await digests.parents_of(connection, digest.id)
        if fallback is None or not parents:
            return
        meant_for = parents[0].account_id
        route = await reroutes.route_of(connection, meant_for)
        await self._write(connection, digest, fallback, everyone.get(meant_for), route.note)
        if digest.state is State.ARMED:  # it was armed with the old words
            await desk.hand_back(connection, digest.id, now=self.now)

    async def _write(
        self,
        connection: Connection,
        digest: Delivery,
        fallback: Member,
        origin: Member | None,
        note: str,
    ) -> None:
        parents = await digests.parents_of(connection, digest.id)
        stored = await digests.post_rows(connection, [parent.post_id for parent in parents])
        told = await campaigns.told_by(connection, stored)
        rows = filled_rows(stored, told, max(digest.due_at, self.now))
        come_from = Reroute(
            from_channel="" if origin is None else origin.channel.channel,
            from_name="" if origin is None else origin.account.name,
            note=note,
        )
        able = fallback.channel.capabilities
        title, content = digest_words(
            rows,
            name=come_from.from_name or fallback.account.name,
            note=reroute_note(come_from, language_of(rows)),
            room=Room(
                channel=fallback.channel.channel,
                text_limit=able.text_limit,
                max_images=able.max_images,
            ),
        )
        await digests.rewrite(connection, digest.post_id, title, content, self.now)
