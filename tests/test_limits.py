from channels.outcome import (
    AccessLost,
    AccessReason,
    Delivered,
    Gone,
    HealthStatus,
    Throttled,
    Unavailable,
)
from scheduler.decide import SECOND
from scheduler.limits import (
    FOREVER,
    HUMAN_PAUSE,
    AccountSign,
    BreakerPolicy,
    Sign,
    gravest,
    read_sign,
)

NOW = 1_800_000_000 * SECOND
POLICY = BreakerPolicy(failures=3, pause_us=60 * SECOND, cap_us=200 * SECOND)
DOWN = Unavailable(reason="refused")


def pause_after(failures: int) -> int | None:
    sign = read_sign(DOWN, failures, "healthy", NOW, POLICY)
    assert sign is not None
    return None if sign.paused_until is None else (sign.paused_until - NOW) // SECOND


def test_failures_in_a_row_open_the_breaker_for_longer_and_longer() -> None:
    assert [pause_after(count) for count in range(6)] == [None, None, 60, 120, 200, 200]


def test_a_success_on_a_well_account_changes_nothing() -> None:
    assert read_sign(Delivered(remote_id="1"), 0, "healthy", NOW, POLICY) is None


def test_a_success_closes_the_breaker() -> None:
    sign = read_sign(Delivered(remote_id="1"), 4, HealthStatus.PLATFORM_DOWN, NOW, POLICY)
    assert sign == AccountSign(sign=Sign.WELL, failures=0, status=HealthStatus.HEALTHY)


def test_a_block_that_a_person_must_lift_pauses_for_a_day_at_least() -> None:
    sign = read_sign(Throttled(human=True, reason="368"), 0, "healthy", NOW, POLICY)
    assert sign is not None
    assert sign.paused_until == NOW + HUMAN_PAUSE
    assert sign.reason == "policy"


def test_lost_access_pauses_until_somebody_reconnects() -> None:
    outcome = AccessLost(reason=AccessReason.TOKEN, detail="expired")
    sign = read_sign(outcome, 0, "healthy", NOW, POLICY)
    assert sign is not None
    assert (sign.status, sign.paused_until) == (HealthStatus.ACCESS_LOST, FOREVER)


def test_one_refusal_as_gone_only_raises_a_suspicion() -> None:
    sign = read_sign(Gone(detail="100/33"), 0, "healthy", NOW, POLICY)
    assert sign is not None
    assert (sign.sign, sign.status) == (Sign.SUSPECTED, None)


def sign(kind: Sign, until: int | None = None) -> AccountSign:
    return AccountSign(sign=kind, paused_until=until)


def test_of_signs_that_come_together_the_gravest_counts() -> None:
    lost, well = sign(Sign.ACCESS_LOST, FOREVER), sign(Sign.WELL)
    failing, throttled = sign(Sign.FAILING), sign(Sign.THROTTLED, 10)
    assert gravest([("a", lost), ("a", well), ("b", well)]) == {"a": lost, "b": well}
    assert gravest([("a", failing), ("a", throttled), ("a", failing)]) == {"a": throttled}
    longer = sign(Sign.THROTTLED, 20)
    assert gravest([("a", longer), ("a", throttled)]) == {"a": longer}
    assert gravest([]) == {}
