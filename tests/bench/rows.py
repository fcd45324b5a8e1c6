"""Rows by the million, written by the database itself: posts that wait, posts long finished."""

# ruff: noqa: S608 -- nothing here comes from outside

from __future__ import annotations

from sqlalchemy import text

from scheduler.store.db import Database

DAY = 86_400_000_000
STEP = 200_000
# Of a hundred finished deliveries; the rest is delivered.
_STATE = """CASE WHEN {i} % 100 < 2 THEN 'failed' WHEN {i} % 100 < 4 THEN 'rerouted'
            WHEN {i} % 100 < 5 THEN 'cancelled' ELSE 'delivered' END"""
_BODY = (
    "We reopen on Monday at nine. Come and see us, **all of you**: the oven is new, the bread is"
    " the same. https://shop.example/reopening"
)


class Loader:
    """Fills one database whose accounts are connected already."""

    def __init__(self, database: Database, account_ids: list[str], now: int) -> None:
        self._database = database
        self._accounts = account_ids
        self._now = now

    async def scheduled(self, count: int, *, first: int, begin: int, span: int) -> None:
        """`count` posts of one delivery each, due evenly over `span` microseconds from `begin`."""
        await self._accounts_table()
        for start in range(first, first + count, STEP):
            end = min(start + STEP, first + count)
            due = f"{begin} + (n.i - {first}) * {max(1, span // max(1, count))}"
            await self._run(start, end, self._posts(self._id("5"), due))
            await self._run(
                start, end,
                f"""INSERT INTO deliveries (id, post_id, account_id, part, state, due_at,
                    planned_at, created_at, updated_at)
                    SELECT {self._id("d")}, {self._id("5")}, {self._account("n.i")}, 'post',
                    'scheduled', {due}, {due}, {self._now}, {self._now} FROM n WHERE true""",
            )  # fmt: skip

    async def finished(
        self, count: int, *, since: int, until: int, per_post: int = 5, details: bool = True
    ) -> None:
        """`count` deliveries, `per_post` to a post, finished evenly between two moments, each with
        its attempt and its events if `details`."""
        await self._accounts_table()
        gap = max(1, (until - since) // max(1, count))
        for start in range(0, count, STEP):
            end = min(start + STEP, count)
            at = f"({since} + n.i * {gap})"
            post = self._id("1", f"n.i / {per_post}")
            due = f"({since} + (n.i / {per_post}) * {per_post} * {gap})"
            one_post = f"n.i % {per_post} = 0"
            await self._run(start, end, self._posts(post, due, where=one_post))
            await self._run(
                start, end,
                f"""INSERT INTO deliveries (id, post_id, account_id, part, state, due_at,
                    planned_at, attempt, tries, first_sent_at, cause, remote_id, url, created_at,
                    updated_at, finished_at)
                    SELECT {self._id("2")}, {post}, {self._account("n.i")}, 'post',
                    {_STATE.format(i="n.i")}, {due}, {due}, 1, 1, {due}, '',
                    '1048576_' || n.i, 'https://www.facebook.com/1048576_' || n.i,
                    {due} - {DAY}, {at}, {at} FROM n WHERE true""",
            )  # fmt: skip
            if not details:
                continue
            await self._run(
                start, end,
                f"""INSERT INTO attempts (delivery_id, number, token, worker, action, started_at,
                    finished_at, late_us, outcome, decision, detail, evidence)
                    SELECT {self._id("2")}, 1, {self._id("3")}, 'host-4711-0a1b2c3d', 'send',
                    {due}, {at}, 812, 'delivered', 'done', '',
                    '{{"request": "POST https://graph.facebook.com/v25.0/1048576/feed",
                      "status": 200, "excerpt": "{{\\"id\\": \\"1048576_122\\"}}"}}' FROM n
                    WHERE true""",
            )  # fmt: skip
            await self._run(start, end, self._events("post.accepted", post, "NULL", due, one_post))
            await self._run(
                start, end, self._events("delivery.delivered", post, self._id("2"), at, "true")
            )

    def _posts(self, post: str, due: str, where: str = "true") -> str:
        return f"""INSERT INTO posts (id, kind, title, content, due_at, zone, late_policy,
            version, created_by, created_at, updated_at)
            SELECT {post}, 'essential', 'We reopen on Monday, number ' || n.i,
            '{{"body": "{_BODY}", "language": "en"}}', {due}, 'Europe/Paris', 'publish', 1,
            'token:bench', {self._now}, {self._now} FROM n WHERE {where}"""

    def _events(self, kind: str, post: str, delivery: str, at: str, where: str) -> str:
        account = "NULL" if delivery == "NULL" else self._account("n.i")
        return f"""INSERT INTO events (at, kind, actor, post_id, delivery_id, account_id, data)
            SELECT {at}, '{kind}', 'worker:host-4711-0a1b2c3d', {post}, {delivery}, {account},
            '{{"outcome": "delivered", "url": "https://www.facebook.com/1048576_122",
              "late_us": 812}}' FROM n WHERE {where}"""

    def _id(self, head: str, number: str = "n.i") -> str:
        """An id of 36 characters that sorts by its number, as those of UUID version 7 do."""
        if self._database.is_postgresql:
            return f"'{head * 8}-0000-7000-8000-' || lpad(to_hex({number}), 12, '0')"
        return f"'{head * 8}-0000-7000-8000-' || printf('%012x', {number})"

    def _account(self, number: str) -> str:
        return f"(SELECT id FROM bench_accounts WHERE place = {number} % {len(self._accounts)})"

    async def _accounts_table(self) -> None:
        async with self._database.write() as connection:
            await connection.execute(
                text(
                    "CREATE TABLE IF NOT EXISTS bench_accounts (place integer PRIMARY KEY, id text)"
                )
            )
            await connection.execute(
                text("INSERT INTO bench_accounts VALUES (:place, :id) ON CONFLICT DO NOTHING"),
                [{"place": place, "id": one} for place, one in enumerate(self._accounts)],
            )

    async def _run(self, start: int, end: int, statement: str) -> None:
        if self._database.is_postgresql:
            numbers = f"n(i) AS (SELECT generate_series({start}::bigint, {end - 1}))"
        else:
            more = f"SELECT i + 1 FROM n LIMIT {end - start}"
            numbers = f"RECURSIVE n(i) AS (SELECT {start} UNION ALL {more})"
        head, _, rest = statement.partition("SELECT")
        async with self._database.write() as connection:
            if self._database.is_postgresql:  # what they refer to is there: not looked up each time
                await connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            await connection.exec_driver_sql(f"{head} WITH {numbers} SELECT{rest}")
