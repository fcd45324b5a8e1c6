"""Alerts as people read them."""

import re
from pathlib import Path

import pytest

import scheduler
from scheduler.alert_words import ENGLISH, FRENCH, LABELS
from scheduler.alerts import Alert, grouped, mail_words, notice, payload
from scheduler.foresight import DAY, gap, warning

URL = "https://posts.example.org"


def alert(
    number: int = 1, *, kind: str = "delivery.held", cause: str = "the page is gone"
) -> Alert:
    return Alert(
        id=f"alert-{number}",
        kind=kind,
        severity="warning",
        data={"post_id": f"post-{number}", "account_id": "page", "cause": cause},
        post=f"Post {number}",
        account="Our page",
    )


def test_both_languages_say_the_same_kinds() -> None:
    assert ENGLISH.keys() == FRENCH.keys()
    assert LABELS["en"].keys() == LABELS["fr"].keys()


def test_every_kind_that_the_code_raises_has_words() -> None:
    raised = {
        kind
        for file in Path(scheduler.__file__).parent.glob("**/*.py")
        for call in re.findall(r"(?:raise_alert|tell)\((.*?)data=", file.read_text(), re.DOTALL)
        for kind in re.findall(r'kind="([^"]+)"', call)
    }
    assert len(raised) > 5
    assert raised <= ENGLISH.keys()


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("kind", sorted(ENGLISH))
def test_every_alert_names_post_or_account_cause_action_and_a_link(
    language: str, kind: str
) -> None:
    said = notice([alert(kind=kind)], language=language, base_url=URL)
    text = "\n".join(said.lines)
    action = (FRENCH if language == "fr" else ENGLISH)[kind][1]
    assert "the page is gone" in text
    assert action in text
    assert f"{URL}/#post-1" in text
    assert "{" not in text


def test_what_an_adapter_says_is_in_the_language_of_the_alert() -> None:
    cause = "the access token has expired Reconnect the account."
    said = notice([alert(cause=cause)], language="fr", base_url=URL)
    assert any("le jeton d’accès a expiré Reconnectez le compte." in line for line in said.lines)


def test_one_cause_is_one_notice_that_names_every_post() -> None:
    alerts = [alert(n) for n in range(3)] + [alert(9, cause="another")]
    groups = grouped(alerts)
    assert [len(group) for group in groups] == [3, 1]
    said = notice(groups[0], language="en", base_url=URL)
    assert "Post 0, Post 1, Post 2" in "\n".join(said.lines)
    assert said.subject.endswith("(and 2 more)")


def test_many_posts_are_counted_rather_than_listed() -> None:
    said = notice([alert(n) for n in range(25)], language="fr", base_url=URL)
    assert "et 15 de plus" in "\n".join(said.lines)


def test_what_comes_together_is_one_mail() -> None:
    told = [notice([alert(n)], language="en", base_url=URL) for n in range(2)]
    subject, text = mail_words(told, "en")
    assert subject.startswith("2 alerts: ")
    assert all(line in text for each in told for line in each.lines)


def test_a_webhook_says_what_the_mail_says() -> None:
    body = payload(alert(), language="en", base_url=URL, at="2026-12-01T09:00:00Z")
    assert body["type"] == "alert.delivery.held"
    assert body["data"]["post_id"] == "post-1"
    assert "Post 1" in body["data"]["summary"]


@pytest.mark.parametrize(
    ("left", "days"), [(20, None), (14, 14), (10, 14), (7, 7), (2, 7), (1, 1), (-3, 1)]
)
def test_a_credential_that_ends_is_told_three_times(left: int, days: int | None) -> None:
    assert warning(1000 + left * DAY, 1000) == days


def test_one_that_never_ends_is_never_told() -> None:
    assert warning(None, 0) is None


def test_a_plan_b_that_leads_nowhere_is_told() -> None:
    assert gap(("mail",), {"mail": "healthy"}) == ""
    assert gap((), {}) == "no other account can take its posts"
    assert gap(("mail",), {"mail": "vanished"}) == "every fallback is itself unreachable"
    assert gap(("gone",), {}) == "every fallback is itself unreachable"
