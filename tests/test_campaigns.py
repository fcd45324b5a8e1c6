"""What a move does, for any campaign: no post forgotten, the way back restores all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from channels.posts import Part
from scheduler.campaigns import (
    Effect,
    Fate,
    Placed,
    effects_of,
    filled_rows,
    fingerprint,
    frame_of,
    read_post,
    reread_post,
)
from scheduler.clock import micros
from scheduler.corrections import corrections_of
from scheduler.deliveries import Delivery, HoldReason, LatePolicy, State
from scheduler.late import LateRules
from scheduler.placement import Placement, due_at

HOUR = 3_600_000_000
RULES = LateRules(late_after_us=HOUR // 4, default_deadline_us=24 * HOUR)
NOW = micros(datetime(2027, 3, 20, tzinfo=UTC))
ANCHORS = st.datetimes(datetime(2027, 1, 1), datetime(2027, 12, 31)).map(
    lambda moment: moment.replace(second=0, microsecond=0)
)
PLACEMENTS = st.one_of(
    st.none(),
    st.builds(Placement, days=st.integers(-30, 30)),
    st.builds(Placement, days=st.integers(-30, 30), at=st.times().map(lambda t: f"{t:%H:%M}")),
    st.builds(Placement, minutes=st.integers(-3000, 3000)),
)
STATES = st.lists(st.sampled_from(State), min_size=1, max_size=3)
POSTS = st.lists(st.tuples(PLACEMENTS, STATES, st.sampled_from(LatePolicy)), max_size=6)
BODIES = st.sampled_from(["{{date}}", "{{countdown}}", "{{time}}", "le 2 mai 2027", "rien"])
Asked = list[tuple[Placement | None, list[State], LatePolicy]]


def campaign(local: datetime, **change: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "anchor_local": local.isoformat(),
        "zone": "Europe/Paris",
        "fields": {},
        "history": [],
        "version": 1,
        **change,
    }


def frame(local: datetime) -> Any:
    return frame_of(local.isoformat(), "Europe/Paris", {})


def row(index: int, local: datetime, when: Placement | None, **change: Any) -> dict[str, Any]:
    due = NOW if when is None else micros(due_at(frame(local).anchor, when))
    return {
        "id": f"p{index}",
        "campaign_id": "c",
        "title": "",
        "kind": "ordinary",
        "content": {"body": "{{date}}", "language": "fr"},
        "placement": {"when": None if when is None else when.model_dump()},
        "due_at": due,
        "deadline_at": due + 24 * HOUR,
        "late_policy": "publish",
        "version": 1,
        **change,
    }


def delivery(post: dict[str, Any], state: State, account: str = "a", **change: Any) -> Delivery:
    return Delivery(
        id=f"{post['id']}-{account}",
        post_id=post["id"],
        account_id=account,
        state=state,
        due_at=post["due_at"],
        planned_at=post["due_at"],
        deadline_at=post["deadline_at"],
        hold_reason=HoldReason.LATE if state is State.HELD else None,
        **change,
    )


def placed(asked: Asked, local: datetime) -> list[Placed]:
    found = []
    for index, (when, states, policy) in enumerate(asked):
        post = row(index, local, when, late_policy=policy.value)
        legs = [delivery(post, state, f"a{place}") for place, state in enumerate(states)]
        found.append(Placed(post, legs))
    return found


def after(effects: Sequence[Effect]) -> list[Placed]:
    """The posts as the move leaves them."""
    return [
        Placed(
            {**effect.row, "due_at": effect.due_at, "deadline_at": effect.deadline_at},
            [*effect.waiting, *effect.out],
        )
        for effect in effects
    ]


@given(ANCHORS, ANCHORS, POSTS)
def test_every_post_has_one_fate_and_every_delivery_one_side(
    first: datetime, second: datetime, asked: Asked
) -> None:
    posts = placed(asked, first)
    effects = effects_of(campaign(first), posts, frame(second), NOW, RULES)
    assert sorted(effect.row["id"] for effect in effects) == [post.row["id"] for post in posts]
    for effect in effects:
        legs = {one.id for post in posts if post.row is effect.row for one in post.deliveries}
        waiting, out = ({one.id for one in side} for side in (effect.waiting, effect.out))
        assert waiting | out <= legs
        assert not waiting & out
        assert (effect.fate in {Fate.OUT, Fate.CLOSED}) == (not waiting)
        assert (effect.late is not None) == (bool(waiting) and effect.due_at < NOW)
        if effect.fate is not Fate.MOVES:
            assert effect.due_at == effect.was


@given(ANCHORS, ANCHORS, POSTS)
def test_a_move_made_twice_moves_once_and_the_way_back_restores_all(
    first: datetime, second: datetime, asked: Asked
) -> None:
    there = effects_of(campaign(first), placed(asked, first), frame(second), NOW, RULES)
    again = effects_of(campaign(second), after(there), frame(second), NOW, RULES)
    assert Fate.MOVES not in {effect.fate for effect in again}
    back = effects_of(campaign(second), after(there), frame(first), NOW, RULES)
    assert {effect.row["id"]: effect.due_at for effect in back} == {
        effect.row["id"]: effect.was for effect in there
    }


@given(ANCHORS, ANCHORS, POSTS)
def test_the_token_stands_for_what_would_happen(
    first: datetime, second: datetime, asked: Asked
) -> None:
    was, wanted = campaign(first), frame(second)
    effects = effects_of(was, placed(asked, first), wanted, NOW, RULES)
    token = fingerprint(was, wanted, effects)
    assert token == fingerprint(
        was, wanted, effects_of(was, placed(asked, first), wanted, NOW, RULES)
    )
    assert token != fingerprint({**was, "version": 2}, wanted, effects)
    assert token != fingerprint(was, frame(second + timedelta(minutes=1)), effects)
    sent: Asked = [
        (when, [State.DELIVERED if one is State.SCHEDULED else one for one in states], policy)
        for when, states, policy in asked
    ]
    if sent != asked:
        assert token != fingerprint(
            was, wanted, effects_of(was, placed(sent, first), wanted, NOW, RULES)
        )


@given(ANCHORS, ANCHORS, BODIES)
def test_what_is_wrong_is_offered_a_correction_and_right_again_when_moved_back(
    first: datetime, second: datetime, body: str
) -> None:
    post = row(0, first, None, content={"body": body, "language": "fr"})
    out = delivery(post, State.DELIVERED, first_sent_at=NOW)
    moved = campaign(second, history=[{"until": NOW + 1, **campaign(first)}])
    effects = effects_of(moved, [Placed(post, [out])], frame(second), NOW + 1, RULES)
    offered = corrections_of(moved, effects, frame(second), {"a"})
    assert bool(offered) == effects[0].wrong
    assert corrections_of(moved, effects, frame(second), set()) == []
    back = effects_of(moved, [Placed(post, [out])], frame(first), NOW + 1, RULES)
    assert not back[0].wrong
    assert corrections_of(moved, back, frame(first), {"a"}) == []


def test_other_parts_of_a_post_go_their_own_way() -> None:
    local = datetime(2027, 5, 2, 9)
    post = row(0, local, Placement())
    comment = delivery(post, State.SCHEDULED, "a", part=Part.FIRST_COMMENT)
    digest = delivery(post, State.SCHEDULED, "b", part=Part.DIGEST)
    (effect,) = effects_of(
        campaign(local), [Placed(post, [comment, digest])], frame(local), NOW, RULES
    )
    assert effect.waiting == (comment,)


def test_the_last_word_of_each_account_decides() -> None:
    told, now = datetime(2027, 5, 2, 9), datetime(2027, 5, 9, 9)
    early, late = (row(index, told, None) for index in (0, 1))
    words = [
        Placed(early, [delivery(early, State.DELIVERED, "a", first_sent_at=NOW),
                       delivery(early, State.DELIVERED, "b", first_sent_at=NOW)]),
        Placed(late, [delivery(late, State.DELIVERED, "a", first_sent_at=NOW + 20)]),
    ]  # fmt: skip
    moved = campaign(now, history=[{"until": NOW + 10, **campaign(told)}])
    effects = effects_of(moved, words, frame(now), NOW + 30, RULES)
    (offered,) = corrections_of(moved, effects, frame(now), {"a", "b"})
    assert (offered.accounts, offered.post_ids) == (("b",), ("p0",))


def test_a_clock_that_is_behind_brings_no_old_date_back() -> None:
    told, now = datetime(2027, 5, 2, 9), datetime(2027, 5, 9, 9)
    moved = campaign(now, history=[{"until": NOW, **campaign(told)}])
    post = row(0, now, Placement())
    behind = NOW - 2_000_000
    assert read_post(post, Path(), {"c": moved}, behind).body == "dimanche 9 mai 2027"
    assert reread_post(post, Path(), {"c": moved}, behind).body == "dimanche 2 mai 2027"
    (filled,) = filled_rows([post], {"c": moved}, behind)
    assert filled["content"]["body"] == "dimanche 9 mai 2027"
