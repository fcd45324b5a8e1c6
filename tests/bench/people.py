"""Rows by the hundred thousand beside the deliveries: readers and their mailings, campaigns,
alerts, rehearsals, articles."""

# ruff: noqa: S608 -- nothing here comes from outside

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from scheduler.clock import moment
from scheduler.store.db import Connection, Database

DAY = 86_400_000_000
MAILINGS = 20
_LINE = (
    '{"delivery_id": "22222222-0000-7000-8000-000000000001", "title": "We reopen on Monday",'
    ' "post_id": "11111111-0000-7000-8000-000000000001", "due_at": "2027-01-04T08:00:00Z",'
    ' "road": "at-once", "to": "Page 1", "at": "2027-01-04T08:00:00Z", "why": "", "words": "'
    + "We reopen on Monday at nine. " * 8
    + '"}'
)


class Filler:
    """Fills one database that has accounts and finished deliveries already. `account`: whose list
    all readers are on."""

    def __init__(self, database: Database, account: str, now: int) -> None:
        self._database = database
        self._account = account
        self._now = now

    async def fill(self, *, readers: int, alerts: int, campaigns: int, articles: int) -> None:
        """Each of so many, the newest now; rehearsals and the basket's reports beside."""
        async with self._writing() as connection:
            for statement in (
                *self._readers(readers),
                *self._mailings(readers),
                *self._told(alerts),
                *self._planned(campaigns),
                *self._articles(articles),
                *self._plan_b(),
            ):
                await connection.exec_driver_sql(statement)

    def _readers(self, count: int) -> list[str]:
        """One list has everybody, another one in a thousand; one in a hundred left, or waits."""
        contact = self._id("c")
        state = """CASE n.i % 100 WHEN 0 THEN 'unsubscribed' WHEN 1 THEN 'pending'
                   ELSE 'subscribed' END"""
        return [
            f"""INSERT INTO lists (id, name, language, archive, clicks, created_at)
                VALUES ('{self._account}', 'All', 'en', true, true, {self._now})
                ON CONFLICT DO NOTHING""",
            "INSERT INTO lists (id, name, language, created_at) VALUES ('few', 'Few', 'en', 1)",
            self._rows(
                "contacts (id, email, attributes, tags, created_at, updated_at)", count,
                f"""{contact}, 'reader' || n.i || '@example.org', '{{"town": "Lyon"}}', '["a"]',
                    {self._now}, {self._now}""",
            ),
            self._rows(
                "memberships (list_id, contact_id, state, since)", count,
                f"'{self._account}', {contact}, {state}, {self._now} - n.i * 60000000",
            ),
            self._rows(
                "memberships (list_id, contact_id, state, since)", count // 1000,
                f"'few', {self._id('c', 'n.i * 1000')}, 'subscribed', {self._now}",
            ),
            self._rows(
                "consents (contact_id, list_id, action, at)", count,
                f"{contact}, '{self._account}', 'import', {self._now}",
            ),
        ]  # fmt: skip

    def _mailings(self, readers: int) -> list[str]:
        """Finished deliveries that every reader got, each with its page."""
        mailing = self._id("2", f"(n.i / {readers}) * 50")
        contact = self._id("c", f"n.i % {readers}")
        state = "CASE n.i % 200 WHEN 0 THEN 'refused' ELSE 'accepted' END"
        return [
            self._rows(
                "recipients (delivery_id, contact_id, address, state, updated_at)",
                MAILINGS * readers,
                f"{mailing}, {contact}, 'reader@example.org', {state}, {self._now}",
            ),
            self._rows(
                "letters (delivery_id, list_id, slug, title, language, html, published_at)",
                MAILINGS,
                f"""{self._id("2", "n.i * 50")}, '{self._account}', 'letter-' || n.i, 'Letter',
                    'en', '<p>Words</p>', {self._now} - n.i * {DAY}""",
            ),
            self._rows(
                "returns (id, contact_id, kind, source, at)", readers // 10,
                f"'r' || n.i, {self._id('c')}, 'refused', 'mail', {self._now} - n.i * 60000000",
            ),
        ]  # fmt: skip

    def _told(self, count: int) -> list[str]:
        """Alerts long over, and their calls to a hook."""
        at = f"{self._now} - ({count} - n.i) * 60000000"
        return [
            self._rows(
                "alerts (id, kind, severity, data, created_at, updated_at, notified_at,"
                " resolved_at)", count,
                f"""{self._id("a")}, 'delivery.held', 'warning',
                    '{{"cause": "the page is away", "action": "look at it"}}', {at}, {at}, {at},
                    {at}""",
            ),
            f"""INSERT INTO hooks (id, url, secret, kinds, created_at, disabled_at)
                VALUES ('hook', 'https://hooks.example', {self._blob()}, '[]', 1, 1)""",
            self._rows(
                "hook_calls (id, hook_id, kind, payload, tries, created_at, done_at)", count,
                f"{self._id('b')}, 'hook', 'delivery.held', '{{}}', 1, {at}, {at}",
            ),
        ]  # fmt: skip

    def _planned(self, count: int) -> list[str]:
        """Campaigns of days gone by."""
        at = f"{self._now} - ({count} - n.i) * 60000000"
        return [
            self._rows(
                "campaigns (id, name, anchor_local, zone, fields, version, created_at, updated_at)",
                count,
                f"{self._id('e')}, 'Reopening', '2025-01-06T09:00', 'UTC', '{{}}', 1, {at}, {at}",
            ),
        ]  # fmt: skip

    def _articles(self, count: int) -> list[str]:
        """Pages of the built-in blog."""
        at = f"{self._now} - ({count} - n.i) * 60000000"
        return [
            self._rows(
                "pages (key, account_id, post_id, slug, title, html, summary, language, tags,"
                " media, published_at, updated_at)", count,
                f"""{self._id("2")}, '{self._account}', {self._id("1")}, 'reopening-' || n.i,
                    'We reopen', '<p>{"Come and see us. " * 40}</p>', 'We reopen', 'en', '[]',
                    '[]', {at}, {at}""",
            ),
        ]  # fmt: skip

    def _plan_b(self) -> list[str]:
        """Rehearsals of a long queue, and a year of the basket's reports."""
        lines = ", ".join([_LINE] * 500)
        stranded = ", ".join(['"11111111-0000-7000-8000-000000000001"'] * 50)
        at = f"{self._now} - n.i * {DAY}"
        return [
            self._rows(
                "drills (id, account_id, live, actor, report, at)", 200,
                f"""{self._id("f")}, '{self._account}', false, 'token:bench',
                    '{{"account_id": "a", "account": "Page", "posts": 500, "rerouted": 500,
                       "held": 0, "digests": [], "lines": [{lines}],
                       "reach": {{"audience": null, "fallbacks": {{}}, "unreached": null}}}}',
                    {at}""",
            ),
            self._rows(
                "baskets (day, report, at)", 365,
                f"""{self._day()}, '{{"audience_index": 0.5, "delivered_index": 0.5,
                    "stranded": [{stranded}]}}', {at}""",
            ),
        ]  # fmt: skip

    def _rows(self, into: str, count: int, values: str) -> str:
        if self._database.is_postgresql:
            numbers = f"n(i) AS (SELECT generate_series(0::bigint, {count - 1}))"
        else:
            numbers = f"RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT {count})"
        return f"INSERT INTO {into} WITH {numbers} SELECT {values} FROM n"

    def _id(self, head: str, number: str = "n.i") -> str:
        """As `tests.bench.rows` makes them."""
        if self._database.is_postgresql:
            return f"'{head * 8}-0000-7000-8000-' || lpad(to_hex({number}), 12, '0')"
        return f"'{head * 8}-0000-7000-8000-' || printf('%012x', {number})"

    def _day(self) -> str:
        """The date of the n-th day before today."""
        yesterday = f"{moment(self._now - DAY):%Y-%m-%d}"
        if self._database.is_postgresql:
            return f"to_char(date '{yesterday}' - n.i::int, 'YYYY-MM-DD')"
        return f"date('{yesterday}', '-' || n.i || ' days')"

    def _blob(self) -> str:
        return "''::bytea" if self._database.is_postgresql else "x''"

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Connection]:
        async with self._database.write() as connection:
            if self._database.is_postgresql:  # what they refer to is there
                await connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            yield connection
