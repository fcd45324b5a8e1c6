"""One channel tried out for real: look, publish, find, correct where that is possible, take down.

Accounts come from environment variables: `LIVE_<ADAPTER>_<FIELD>`, the fields being those of the
adapter's settings (dots in its name become underscores). See README.md here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image

from channels.abilities import Edits, Withdraws
from channels.base import Account, Broadcasts, Channel, FindsRecipient, Publishes, Recipient
from channels.outcome import Accepted, Delivered, Finding, HealthStatus, Outcome, Severity
from channels.posts import Media, Message, Post

# The built-in blog has no platform to try.
ADAPTERS = (
    "blog.wordpress", "blog.ghost", "newsletter", "facebook", "linkedin", "messenger", "mastodon",
    "bluesky", "webhook",
)  # fmt: skip
# How long a platform's own listing may take to show what was published.
PATIENCE = timedelta(minutes=2)
_PAUSE = 3.0


def prefix(name: str) -> str:
    return f"LIVE_{name.replace('.', '_').upper()}_"


def wanted(channel: Channel) -> list[str]:
    """The variables without which the channel cannot be tried."""
    fields = channel.settings_type.model_fields
    needed = [name for name, field in fields.items() if field.is_required()]
    needed += ["to"] if channel.capabilities.addressed else []
    return [prefix(channel.name) + name.upper() for name in needed]


@dataclass(frozen=True, slots=True)
class Trial:
    """A channel, an account of it, and (if it writes to people) whom to write to."""

    channel: Channel
    account: Account[Any]
    to: str = ""


def trial(channel: Channel, environ: Mapping[str, str]) -> Trial | str:
    """From the environment; else one sentence on what is missing. Error: ValueError for an account
    that cannot be one."""
    missing = [name for name in wanted(channel) if not environ.get(name)]
    if missing:
        return f"{channel.name} is not tried: set {', '.join(missing)}"
    begin = prefix(channel.name)
    given = {
        name: _value(environ[begin + name.upper()])
        for name in channel.settings_type.model_fields
        if environ.get(begin + name.upper())
    }
    settings = channel.settings_type.model_validate(given)
    account = Account(id="live", name=f"live {channel.name}", settings=settings)
    return Trial(channel, account, environ.get(f"{begin}TO", ""))


def variables(channel: Channel, settings: Mapping[str, Any], to: str) -> dict[str, str]:
    """The variables that name this account: `trial` the other way round."""
    begin = prefix(channel.name)
    named = {
        begin + name.upper(): value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.items()
    }
    return named | ({f"{begin}TO": to} if to else {})


def _value(text: str) -> Any:
    return json.loads(text) if text[:1] in {"[", "{"} else text


async def run(one: Trial, folder: Path) -> list[str]:
    """Try it; what was done, for people to read. Nothing is left behind but what cannot be taken
    down, and that is said."""
    health = await one.channel.probe(one.account)
    assert health.status is HealthStatus.HEALTHY, f"{health.detail} {health.remedy}"
    post = _post(one.channel, folder)
    message = one.channel.render(post, one.account)
    problems = one.channel.check(message, one.account)
    assert not [problem for problem in problems if problem.severity is Severity.ERROR], problems
    key = f"live-{post.id}"
    if isinstance(one.channel, Publishes):
        return await _published(one, one.channel, post, message, key)
    assert isinstance(one.channel, Broadcasts)
    return await _written(one, one.channel, message, key)


async def _published(
    one: Trial, channel: Publishes, post: Post, message: Message, key: str
) -> list[str]:
    since = datetime.now(UTC) - timedelta(seconds=5)
    findable = channel.capabilities.findable
    before = await channel.find(message, one.account, key=key, since=since)
    assert before is (Finding.ABSENT if findable else Finding.UNKNOWN), before
    outcome = await channel.send(message, one.account, key=key)
    done = [f"published: {_where(outcome)}"]
    remote_id = getattr(outcome, "remote_id", None)
    try:
        assert isinstance(outcome, Delivered | Accepted), outcome
        if findable:
            found = await _found(one, channel, message, key, since)
            assert found.remote_id == outcome.remote_id
            done.append("found again")
        if isinstance(channel, Edits):
            better = replace(post, body=f"{post.body}\n\nCorrected.")
            words = channel.render(better, one.account)
            edited = await channel.edit(words, one.account, remote_id=outcome.remote_id)
            assert isinstance(edited, Delivered), edited
            done.append("corrected")
    finally:
        if isinstance(channel, Withdraws) and remote_id is not None:
            gone = await channel.withdraw(remote_id, one.account)
            assert isinstance(gone, Delivered), f"take it down by hand: {_where(outcome)}; {gone}"
            done.append("taken down")
        else:
            done.append("left there: this channel takes nothing down")
    return done


async def _written(one: Trial, channel: Broadcasts, message: Message, key: str) -> list[str]:
    since = datetime.now(UTC) - timedelta(seconds=5)
    courier = await channel.open(message, one.account)
    assert not isinstance(courier, Outcome), courier
    recipient = Recipient(
        id="live", address=one.to, name="Live", unsubscribe_url="https://example.org/u/live"
    )
    try:
        outcome = await courier.send(recipient, key=key)
        assert isinstance(outcome, Delivered), outcome
        done = [f"written to {one.to}"]
        if isinstance(courier, FindsRecipient):
            found = await courier.find(recipient, key=key, since=since)
            assert isinstance(found, Delivered) or found is Finding.UNKNOWN, found
            done.append("found again" if isinstance(found, Delivered) else "cannot be found again")
    finally:
        await courier.close()
    return done


async def _found(
    one: Trial, channel: Publishes, message: Message, key: str, since: datetime
) -> Delivered:
    """What was published, as soon as the platform lists it."""
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while True:
            found = await channel.find(message, one.account, key=key, since=since)
            if isinstance(found, Delivered):
                return found
            await asyncio.sleep(_PAUSE)


def _post(channel: Channel, folder: Path) -> Post:
    """Words that were never said before, and a picture where pictures are carried."""
    now = datetime.now(UTC)
    media = []
    if channel.capabilities.max_images and channel.name != "webhook":  # needs a public address
        path = folder / "picture.jpg"
        Image.new("RGB", (1200, 630), "seagreen").save(path, "JPEG", quality=85)
        media = [
            Media(
                id="picture", content_type="image/jpeg", alt="A green rectangle", path=path,
                width=1200, height=630, size=path.stat().st_size,
            )
        ]  # fmt: skip
    stamp = now.strftime("%Y-%m-%d %H:%M:%S.%f UTC")
    return Post(
        id=now.strftime("%Y%m%d%H%M%S%f"),
        title=f"Test of {stamp}",
        body=f"Made at {stamp}, and taken down at once. (One), [two] & *three*.",
        media=tuple(media),
    )


def _where(outcome: object) -> str:
    return str(getattr(outcome, "url", None) or getattr(outcome, "remote_id", None) or outcome)
