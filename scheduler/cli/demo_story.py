"""The demo, told as it happens: a week of posts, a page that vanishes and comes back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from scheduler.cli.client import Api
from scheduler.cli.demo_journal import Telling
from scheduler.cli.demo_ledger import Cast, Told
from scheduler.cli.demo_patience import Patience
from scheduler.cli.demo_practice import Practice
from scheduler.cli.demo_verdict import Verdict
from scheduler.cli.demo_week import BACK, DAYS, GONE, PHONES_ONLY, WEEK, Line
from scheduler.cli.exits import CommandError, Exit
from scheduler.cli.output import say

_LOOK_EVERY = 0.2
_END_WITHIN = 120.0
_FIRST_POST_IN = 2.0
_NOTE = "Our page cannot be reached at the moment: find us here."
# A held post has somebody who is told; it waits for a decision, not for the demo.
_ENDED = {"delivered", "rerouted", "failed", "cancelled", "held"}


class Story:
    """One telling. `day`: seconds that a day of it lasts."""

    def __init__(self, api: Api, practice: Practice, cast: Cast, day: float) -> None:
        self._api = api
        self._practice = practice
        self._cast = cast
        self._day = day
        self._told: dict[str, Told] = {}
        self._seen = Telling(cast, self._told, self._line)
        self._patience = Patience(practice, cast.adapter, self._line)
        self._ask = self._patience.ask
        self._start = 0.0
        self._began = datetime.now(UTC)

    async def told(self) -> bool:
        """From Monday to Sunday; whether the ledgers agree."""
        page = self._cast["page"]
        before = await self._ask(lambda: self._api.get(f"/routes/{page['id']}"))
        await self._prepare(before)
        try:
            await self._queue()
            await self._live()
            await self._everything_ended()
        finally:
            await self._ask(lambda: self._practice.mend(self._cast.adapter))
            await self._ask(lambda: self._restore(before))
        verdict = Verdict(self._api, self._practice, self._cast, self._patience, self._began)
        return await verdict.told(self._told)

    # --- before ----------------------------------------------------------------------------------

    async def _prepare(self, route: Mapping[str, Any]) -> None:
        page = self._cast["page"]
        await self._practice.mend(self._cast.adapter)
        if page["status"] != "healthy" or page["paused"]:
            await self._api.post(f"/accounts/{page['id']}/resume")
        found = await self._api.post(f"/accounts/{page['id']}/probe")
        if found["status"] != "healthy":
            raise CommandError(f"{page['name']} is {found['status']} before the story begins")
        kinds = {"essential": "at-once", "ordinary": "digest", "promotional": "never"}
        body = _body_of(route) | {"kinds": kinds, "note": _NOTE, "digest_hour": 18}
        body |= {"weekly_mails": 12, "day_seconds": self._day}
        await self._api.put(f"/routes/{page['id']}", body)
        self._seen.seq = await self._newest()

    async def _restore(self, before: Mapping[str, Any]) -> None:
        path = f"/routes/{before['account_id']}"
        if before["default"]:
            await self._api.delete(path)
        else:
            await self._api.put(path, _body_of(before))

    async def _newest(self) -> int:
        """The number of the last thing that happened."""
        seq = 0
        while True:
            page = await self._api.get("/journal", after=seq, limit=500)
            if not page["events"]:
                return seq
            seq = page["next"]

    async def _queue(self) -> None:
        soonest = datetime.now(UTC).timestamp() + _FIRST_POST_IN
        # A practice day begins at a multiple of its length, as digests count it.
        self._start = soonest - soonest % self._day + self._day
        for line in WEEK:
            told = Told(line, secrets.token_hex(3))
            draft = self._draft(line, told.mark)
            key = {"Idempotency-Key": f"demo-{told.mark}"}
            accepted = await self._ask(partial(self._api.post, "/posts", draft, headers=key))
            self._told[accepted["id"]] = told
        channels = ", ".join(self._cast[role]["channel"] for role in self._cast.roles)
        say(f"\nA week of {len(WEEK)} posts is queued on five channels: {channels}.", "bold")
        say(
            f"A day of this week lasts {self._day:g} s, and its digest leaves at 18:00. All else is"
            f" as always;\nonly the second look at a lost page comes after 2 s instead of 15"
            " minutes.\n"
        )

    def _draft(self, line: Line, mark: str) -> dict[str, Any]:
        return {
            "title": f"{line.title} ({mark})",
            "body": f"**{line.title}.** More at the bakery, opposite the church. ({mark})",
            "kind": line.kind,
            "accounts": [self._cast[role]["id"] for role in line.where],
            "at": self._moment(line.day, line.hour).isoformat(),
        }

    # --- the week --------------------------------------------------------------------------------

    async def _live(self) -> None:
        turns: Sequence[tuple[tuple[int, int], Callable[[], Awaitable[None]]]] = (
            (PHONES_ONLY, self._phones_only),
            (GONE, self._gone),
            (BACK, self._back),
        )
        for number, name in enumerate(DAYS):
            say(name, "bold")
            for (day, hour), turn in turns:
                if day == number:
                    await self._watch(self._moment(day, hour))
                    await turn()
            await self._watch(self._moment(number + 1, 0))
            words = self._seen.day_in_words()
            say(f"   published  {words or 'nothing'}", "green" if words else "")

    async def _phones_only(self) -> None:
        await self._patience.break_("phone-only")
        page = self._cast["page"]
        found = await self._ask(lambda: self._api.post(f"/accounts/{page['id']}/probe"))
        self._line(f"{page['channel']}: computers do not find {page['name']} any more, phones do")
        self._line(f"looked at: {found['status']}. One alert, no plan B: it can still publish.")

    async def _gone(self) -> None:
        await self._patience.break_("page-gone")
        page = self._cast["page"]
        self._line(f"{page['channel']}: {page['name']} is gone, for everybody", "red")

    async def _back(self) -> None:
        await self._patience.mend()
        page = self._cast["page"]
        found = await self._ask(lambda: self._api.post(f"/accounts/{page['id']}/probe"))
        self._line(f"{page['channel']}: {page['name']} is back, {found['status']}", "green")
        self._line("what took another road stays there: nothing is replayed.")

    async def _watch(self, until: datetime) -> None:
        while (left := (until - datetime.now(UTC)).total_seconds()) > 0:
            await self._read_on()
            await asyncio.sleep(min(left, _LOOK_EVERY))
        await self._read_on()

    async def _read_on(self) -> None:
        """Tell what happened since."""
        while await self._read_some():
            pass
        if not self._seen.vanished and self._patience.fault == "page-gone":
            await self._tell_move()

    async def _read_some(self) -> bool:
        """Some of it; whether there was any."""
        seen = self._seen
        page = await self._ask(lambda: self._api.get("/journal", after=seen.seq, limit=500))
        for event in page["events"]:
            seen.happened(event)
        seen.seq = page["next"]
        return bool(page["events"])

    async def _tell_move(self) -> None:
        """Once plan B has moved the queue: how."""
        page = self._cast["page"]
        account = await self._ask(lambda: self._api.get(f"/accounts/{page['id']}"))
        if account["status"] != "vanished" or not self._seen.moved:
            return
        for post_id in self._told:
            post = await self._post(post_id)
            if any(_waits(one) for one in post["deliveries"] if one["account_id"] == page["id"]):
                return
        await self._read_some()
        self._seen.vanished = True
        self._line("a second look agrees. Plan B moves its whole queue:", "cyan")
        say(f"          {self._seen.move_in_words()}")

    # --- the end ---------------------------------------------------------------------------------

    async def _everything_ended(self) -> None:
        try:
            async with asyncio.timeout(_END_WITHIN):
                for post_id, told in self._told.items():
                    told.deliveries = await self._ended(post_id)
                for digest in self._seen.gathered:
                    await self._digest_ended(digest)
        except TimeoutError as error:
            raise CommandError(
                f"not every delivery ended within two minutes: {await self._open_still()}",
                Exit.FAILED,
            ) from error
        await self._read_on()

    async def _open_still(self) -> str:
        posts = [await self._post(one) for one in self._told]
        digests = [
            await self._ask(partial(self._api.get, f"/deliveries/{one}"))
            for one in self._seen.gathered
        ]
        found = [*(one for post in posts for one in post["deliveries"]), *digests]
        return "; ".join(
            f"{one['id']} to {one['account']} is {one['state']} {one['cause']}".strip()
            for one in found
            if one["state"] not in _ENDED or _waits(one)
        )

    async def _ended(self, post_id: str) -> Sequence[Mapping[str, Any]]:
        while True:
            deliveries: Sequence[Mapping[str, Any]] = (await self._post(post_id))["deliveries"]
            if all(one["state"] in _ENDED and not _waits(one) for one in deliveries):
                return deliveries
            await asyncio.sleep(_LOOK_EVERY)

    async def _digest_ended(self, delivery_id: str) -> None:
        while True:
            found = await self._ask(lambda: self._api.get(f"/deliveries/{delivery_id}"))
            if found["state"] in _ENDED:
                return
            await asyncio.sleep(_LOOK_EVERY)

    async def _post(self, post_id: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = await self._ask(lambda: self._api.get(f"/posts/{post_id}"))
        return found

    # --- small things ----------------------------------------------------------------------------

    def _moment(self, day: int, hour: float) -> datetime:
        seconds = self._start + (day + hour / 24) * self._day
        return datetime.fromtimestamp(seconds, UTC)

    def _line(self, text: str, style: str = "") -> None:
        """With the story's own time."""
        passed = (datetime.now(UTC).timestamp() - self._start) / self._day
        hours, minutes = divmod(int(max(passed, 0.0) % 1 * 24 * 60), 60)
        say(f"   {hours:02}:{minutes:02}  {text}", style)


def _waits(delivery: Mapping[str, Any]) -> bool:
    """For its page, or for plan B."""
    state, why = delivery["state"], delivery["hold_reason"]
    return state in {"scheduled", "armed", "sending"} or (state, why) == ("held", "suspected")


def _body_of(route: Mapping[str, Any]) -> dict[str, Any]:
    """A route as the API takes it."""
    of_the_answer = {"account_id", "account", "channel", "default", "warnings"}
    return {name: value for name, value in route.items() if name not in of_the_answer}
