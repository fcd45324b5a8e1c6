from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from hypothesis import given
from hypothesis import strategies as st

from channels.posts import Kind
from scheduler.reroute import Covered, Mode, Route, Taken, Unplaced, choose

ROUTE = Route(fallbacks=("mail", "blog"))


def chosen(
    carried: AbstractSet[str] = frozenset(),
    closed: Mapping[str, str] | None = None,
    refused: Mapping[str, str] | None = None,
    kind: Kind = Kind.ESSENTIAL,
    route: Route = ROUTE,
) -> object:
    return choose(route, kind, carried=carried, closed=closed or {}, refused=refused or {})


def test_takes_the_first_open_road() -> None:
    assert chosen() == Taken("mail")
    assert chosen(closed={"mail": "paused"}) == Taken("blog")
    assert chosen(refused={"mail": "too long"}) == Taken("blog")


def test_an_account_that_carries_the_post_is_noted_not_doubled() -> None:
    assert chosen(carried={"mail"}) == Covered("mail")


def test_a_road_where_the_post_failed_is_not_called_covered() -> None:
    assert chosen(refused={"mail": "failed there"}, carried=set()) == Taken("blog")


def test_every_closed_road_is_named() -> None:
    unplaced = chosen(closed={"mail": "paused", "blog": "vanished"})
    assert unplaced == Unplaced("mail: paused; blog: vanished")


def test_promotion_is_not_rerouted_and_asking_asks() -> None:
    assert isinstance(chosen(kind=Kind.PROMOTIONAL), Unplaced)
    asking = Route(fallbacks=("mail",), rules={Kind.ESSENTIAL: Mode.ASK})
    unplaced = chosen(route=asking)
    assert isinstance(unplaced, Unplaced)
    assert unplaced.ask


_ids = st.sampled_from(["a", "b", "c", "d"])


@given(
    st.lists(_ids, unique=True), st.sets(_ids), st.sets(_ids), st.sets(_ids), st.sampled_from(Kind)
)
def test_never_chooses_a_road_that_carries_refuses_or_is_closed(
    fallbacks: list[str], carried: set[str], closed: set[str], refused: set[str], kind: Kind
) -> None:
    choice = choose(
        Route(fallbacks=tuple(fallbacks)),
        kind,
        carried=carried,
        closed=dict.fromkeys(closed, "closed"),
        refused=dict.fromkeys(refused, "refused"),
    )
    if isinstance(choice, Taken):
        assert choice.account_id in fallbacks
        assert choice.account_id not in carried | closed | refused
