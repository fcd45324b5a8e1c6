"""Lists give every row once, in order, whichever way they are found."""

from __future__ import annotations

import pytest
from sqlalchemy import insert

from scheduler.deliveries import State
from scheduler.store import posts as store
from scheduler.store.db import Database
from scheduler.store.posts import PostFilter
from scheduler.store.tables import accounts, deliveries, posts

NOW = 1_800_000_000_000_000
STATES = [*State, State.DELIVERED, State.SCHEDULED, State.FAILED]


@pytest.fixture
async def filled(database: Database) -> Database:
    """Sixty posts of two deliveries, on two accounts, in all states; some due at one moment."""
    async with database.write() as connection:
        await connection.execute(
            insert(accounts),
            [
                {
                    "id": one, "adapter": one, "channel": one, "name": one, "settings": {},
                    "status": "healthy", "status_since": NOW, "created_at": NOW, "updated_at": NOW,
                }
                for one in ("blog", "letter", "unused")
            ],
        )  # fmt: skip
        await connection.execute(
            insert(posts),
            [
                {
                    "id": f"p{number:02}", "kind": "essential", "title": "t", "content": {},
                    "due_at": NOW + number // 3, "zone": "UTC", "late_policy": "publish",
                    "version": 1, "created_by": "t", "created_at": NOW, "updated_at": NOW,
                }
                for number in range(60)
            ],
        )  # fmt: skip
        await connection.execute(
            insert(deliveries),
            [
                {
                    "id": f"d{number:03}", "post_id": f"p{number // 2:02}",
                    "account_id": "blog" if number % 2 else "letter", "part": "post",
                    "state": STATES[number * 7 % len(STATES)], "due_at": NOW + number // 5,
                    "planned_at": NOW, "created_at": NOW, "updated_at": NOW,
                }
                for number in range(120)
            ],
        )  # fmt: skip
    return database


@pytest.mark.parametrize("state", [None, "held", "armed", "scheduled", "delivered"])
@pytest.mark.parametrize("account", [None, "blog"])
async def test_pages_of_deliveries_make_up_the_whole(
    filled: Database, state: str | None, account: str | None
) -> None:
    async with filled.read() as connection:
        whole = await store.delivery_page(
            connection, state=state, account=account, after=None, limit=1000
        )
        found = []
        after: tuple[int, str] | None = None
        while page := await store.delivery_page(
            connection, state=state, account=account, after=after, limit=7
        ):
            found += [row["id"] for row in page]
            after = (page[-1]["due_at"], page[-1]["id"])
    wanted = [
        f"d{number:03}"
        for number in range(120)
        if state in {None, STATES[number * 7 % len(STATES)].value}
        and (account is None or number % 2)
    ]
    assert [row["id"] for row in whole] == wanted
    assert found == wanted


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize(
    "wanted",
    [
        PostFilter(state="held"),
        PostFilter(state="scheduled"),
        PostFilter(state="sending", account="blog"),
        PostFilter(channel="letter"),
        PostFilter(channel="nobody"),
        PostFilter(account="unused"),
        PostFilter(state="delivered", channel="blog", due_from=NOW + 3, due_before=NOW + 15),
    ],
    ids=str,
)
async def test_posts_are_the_same_few_or_many(
    filled: Database, wanted: PostFilter, monkeypatch: pytest.MonkeyPatch, *, newest: bool
) -> None:
    async def walk() -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        after: tuple[int, str] | None = None
        async with filled.read() as connection:
            while page := await store.page(
                connection, wanted, after=after, limit=3, newest_first=newest
            ):
                assert len(found) < 1000, "the pages do not end"
                found += [(row["listed_at"], row["id"]) for row in page]
                after = found[-1]
        return found

    looked_up = await walk()
    monkeypatch.setattr(store, "FEW", 0)
    assert await walk() == looked_up
    keys: dict[str, list[int]] = {}
    for number in range(120):
        state = STATES[number * 7 % len(STATES)].value
        account = "blog" if number % 2 else "letter"
        due = NOW + number // 6
        if (
            wanted.state in {None, state}
            and wanted.account in {None, account}
            and wanted.channel in {None, account}
            and (wanted.due_from or 0) <= due < (wanted.due_before or NOW * 2)
        ):
            listed = due if wanted.state is None else NOW + number // 5
            keys.setdefault(f"p{number // 2:02}", []).append(listed)
    best = max if newest else min
    expected = sorted(((best(times), one) for one, times in keys.items()), reverse=newest)
    assert looked_up == expected
