"""What the wire tests of WordPress and Ghost share: a blog's adapter before a server that answers
with the documented replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from channels.base import Account
from channels.outcome import AccessLost, Delivered, Finding, Health, Outcome
from channels.posts import Media, Message, Post
from tests.channels.blog.conftest import NOON
from tests.channels.replay import Asked, Recorded, Replay

POST = Post(id="p", title="We reopen", body="On Tuesday.")


@dataclass(frozen=True, slots=True)
class Site:
    """`adapter` connected to `there`, whose answers are in `replies`."""

    adapter: Any
    there: Account[Any]
    replay: Replay
    replies: Mapping[str, Recorded]

    def on(self, method: str, path: str, reply: str, **changes: Any) -> Recorded:
        """Answer with this reply, with `changes` to what was recorded."""
        answer = replace(self.replies[reply], **changes)
        self.replay.on(method, path, answer)
        return answer

    def message(self, post: Post = POST) -> Message:
        message: Message = self.adapter.render(post, self.there)
        return message

    async def publish(self, post: Post = POST) -> Outcome:
        outcome: Outcome = await self.adapter.send(self.message(post), self.there, key="k")
        return outcome

    async def edit(self, remote_id: str, message: Message) -> Outcome:
        outcome: Outcome = await self.adapter.edit(message, self.there, remote_id=remote_id)
        return outcome

    async def find(self) -> Delivered | Finding:
        found: Delivered | Finding = await self.adapter.find(
            self.message(), self.there, key="k", since=NOON
        )
        return found

    async def probe(self) -> Health:
        health: Health = await self.adapter.probe(self.there)
        return health

    async def fail_to_upload(self, picture: Callable[..., Media], kind: type[Outcome]) -> Asked:
        """Publish with a picture whose upload fails: what was asked last. Nothing is published."""
        outcome = await self.publish(replace(POST, media=(picture(),)))
        assert isinstance(outcome, kind), outcome
        assert not [
            one for one in self.replay.asked if one.method == "POST" and b"Tuesday" in one.body
        ]
        return self.replay.asked[-1]

    async def refused_without(self, secret: str, kind: type[Outcome]) -> Outcome:
        """Publish, be refused with the secret in the answer, and keep nothing of it."""
        outcome = await self.publish()
        assert isinstance(outcome, kind), outcome
        assert not isinstance(outcome, AccessLost | Delivered)
        assert secret not in repr(outcome)
        assert secret not in repr(self.there)
        return outcome
