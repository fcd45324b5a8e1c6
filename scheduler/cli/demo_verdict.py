"""The end of the demo: what each reader's ledger says of the week, and where to look at it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from scheduler.cli.client import Api
from scheduler.cli.demo_ledger import Cast, Judge, Told
from scheduler.cli.demo_patience import Patience
from scheduler.cli.demo_practice import Practice
from scheduler.cli.output import say

_OF_POSTS = {"delivery.held", "delivery.rerouted", "delivery.failed"}


class Verdict:
    """On one telling, which began at `began`."""

    def __init__(
        self, api: Api, practice: Practice, cast: Cast, patience: Patience, began: datetime
    ) -> None:
        self._api = api
        self._practice = practice
        self._cast = cast
        self._patience = patience
        self._began = began

    async def told(self, told: Mapping[str, Told]) -> bool:
        """Whether the ledgers agree. `told`: by the id of its post."""
        posts = list(told.values())
        judge = Judge(self._practice, self._cast, self._api.place.url)
        verdict = await self._patience.ask(
            lambda: judge.judge(posts, lenient=self._patience.interrupted)
        )
        alerts = await self._alerts(told)
        told_once = alerts["account.vanished"] == 1 and not any(alerts[one] for one in _OF_POSTS)
        well: bool = verdict.agrees and (told_once or self._patience.interrupted)
        say("\nThe ledgers, read by each reader", "bold")
        for channel, words in verdict.lines:
            say(f"   {channel:<11} {words}")
        for wrong in verdict.wrong:
            say(f"   {wrong}", "red")
        many = "one alert" if told_once else f"{sum(alerts.values())} alerts"
        say(
            f"   {many} for the lost page and its whole queue; {verdict.lost} lost,"
            f" {verdict.doubled} doubled, {verdict.replayed} replayed.",
            "bold green" if well else "bold red",
        )
        self._point(posts)
        return well

    async def _alerts(self, told: Mapping[str, Told]) -> Counter[str]:
        """Of the page and the story's posts, by kind."""
        page = self._cast["page"]["id"]
        found = await self._patience.ask(lambda: self._api.get("/alerts", all=True, limit=500))
        return Counter(
            alert["kind"]
            for alert in found["alerts"]
            if datetime.fromisoformat(alert["created_at"]) >= self._began
            and (alert["data"].get("account_id") == page or alert["data"].get("post_id") in told)
        )

    def _point(self, posts: Sequence[Told]) -> None:
        place = self._api.place
        held = sum(one["state"] == "held" for post in posts for one in post.deliveries)
        say("\nTo look at", "bold")
        say(f"   {place.url}/  the week; {held} promotional posts wait for your word")
        say(f"   {place.url}/blog  the blog")
        say(f"   {place.practice_url}/newsletter/  the mails and digests, as readers got them")
        say(f"   token for the pages: {place.token}")
