"""A delivery's message: its post as it reads now, fitted to its channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from channels.media import shown
from channels.posts import Message, Part, Post
from channels.posts import Reroute as RerouteWords
from channels.sentences import stand_in_note
from scheduler.campaigns import reread_post
from scheduler.deliveries import Delivery
from scheduler.media import fitted
from scheduler.pointers import remembered
from scheduler.roster import Member, Roster
from scheduler.store import arming as store
from scheduler.store import campaigns
from scheduler.store.db import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """`own_hosts`: those of our own links."""

    database: Database
    roster: Roster
    media_dir: Path
    own_hosts: tuple[str, ...]

    async def again(self, delivery: Delivery) -> tuple[Member, Message] | None:
        """One delivery's account and message, rendered again: to look for it."""
        members = await self.roster.members([delivery.account_id])
        rows = await store.posts_of(self.database, [delivery.post_id])
        origins = await store.origins_of(
            self.database, [] if delivery.origin_id is None else [delivery.origin_id]
        )
        member = members.get(delivery.account_id)
        if member is None:
            return None
        told = await campaigns.of_posts(self.database, rows.values())
        at = delivery.first_sent_at or delivery.due_at  # as it read when it left
        read = reread_post(rows[delivery.post_id], self.media_dir, told, at)
        post = words(read, delivery, origins)
        article = await remembered(self.database, delivery)
        return member, await self.message(post, member, delivery.part, None, article)

    async def message(
        self, post: Post, member: Member, part: Part, reply_to: str | None, article: str | None
    ) -> Message:
        post = replace(post, own_hosts=self.own_hosts, blog_url=article)
        part = Part.POST if part is Part.STAND_IN else part
        if shown(post, member.channel):
            post = await fitted(post, member.channel, self.media_dir.parent)
        message = member.channel.render(post, member.account, part)
        return message if reply_to is None else replace(message, reply_to=reply_to)


def words(post: Post, delivery: Delivery, origins: Mapping[str, Any]) -> Post:
    """A rerouted delivery says where it was meant to be."""
    origin = None if delivery.origin_id is None else origins.get(delivery.origin_id)
    if origin is None:
        return post
    note = (origin.rules or {}).get("note", "")
    if delivery.part is Part.STAND_IN:  # the channel is well: this reader cannot be reached there
        note = stand_in_note(origin.channel, post.language)
    words = RerouteWords(from_channel=origin.channel, from_name=origin.name, note=note)
    return replace(post, rerouted=words)
