"""Alerts as people read them: grouped by cause, in French or English. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from channels.translations import in_language
from scheduler.alert_words import ENGLISH, FRENCH, LABELS

NAMED = 10  # posts that one notice names; the rest is counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One row of alerts, with the names of its post and account (empty: it has none)."""

    id: str
    kind: str
    severity: str
    data: Mapping[str, Any]
    post: str = ""
    account: str = ""

    @property
    def cause(self) -> tuple[str, str, str]:
        """What alerts that say the same share."""
        return self.kind, self.data.get("account_id") or "", self.data.get("cause", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell: several alerts of one cause. `lines`: plain text."""

    subject: str
    lines: tuple[str, ...]
    ids: tuple[str, ...]


def grouped(alerts: Sequence[Alert]) -> list[list[Alert]]:
    """Alerts of one cause together, in the order of the first of each."""
    groups: dict[tuple[str, str, str], list[Alert]] = {}
    for alert in alerts:
        groups.setdefault(alert.cause, []).append(alert)
    return list(groups.values())


def notice(group: Sequence[Alert], *, language: str, base_url: str) -> Notice:
    """What one group says: post, cause, evidence, next action, with a link."""
    say, first = LABELS[language], group[0]
    what, action = _words(first, language)
    posts = [_one_line(alert.post) for alert in group if alert.post]
    subject = what.format(
        post=posts[0] if posts else say["nothing"],
        account=_one_line(first.account) or say["account"],
    )
    colon = say["colon"]
    lines = [subject]
    if cause := first.data.get("cause"):
        lines.append(f"{say['cause']}{colon}{in_language(str(cause), language)}")
    listed = posts if len(posts) > 1 else [str(one) for one in first.data.get("posts", ())]
    if listed:
        unnamed = 0 if len(posts) > 1 else int(first.data.get("more_posts", 0))
        lines.append(f"{say['posts']}{colon}{_listed(listed, say['more'], unnamed)}")
    lines += [f"{say['action']}{colon}{action}", link(first, base_url)]
    if len(posts) > 1:
        subject = f"{subject} ({say['more'].format(count=len(posts) - 1)})"
    return Notice(subject=subject, lines=tuple(lines), ids=tuple(alert.id for alert in group))


def mail_words(notices: Sequence[Notice], language: str) -> tuple[str, str]:
    """Subject and plain text of one mail for everything that came together."""
    if len(notices) == 1:
        return notices[0].subject, "\n\n".join(notices[0].lines) + "\n"
    subject = LABELS[language]["several"].format(count=len(notices))
    body = "\n\n\n".join("\n".join(each.lines) for each in notices)
    return f"{subject}{LABELS[language]['colon']}{notices[0].subject}", body + "\n"


def link(alert: Alert, base_url: str) -> str:
    """Where to act: the overview, at the post or account that it is about."""
    for name in ("post_id", "account_id"):
        if identity := alert.data.get(name):
            return f"{base_url}/#{identity}"
    return f"{base_url}/"


def payload(alert: Alert, *, language: str, base_url: str, at: str) -> dict[str, Any]:
    """The JSON of a webhook, as Standard Webhooks has it: `type`, `timestamp`, `data`."""
    said = notice([alert], language=language, base_url=base_url)
    return {
        "type": f"alert.{alert.kind}",
        "timestamp": at,
        "data": {
            "alert_id": alert.id,
            "severity": alert.severity,
            "summary": said.subject,
            "post": alert.post or None,
            "account": alert.account or None,
            "link": link(alert, base_url),
            **alert.data,
            "action": _words(alert, language)[1],
        },
    }


def _one_line(name: str) -> str:
    """A name as a subject can carry it."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())


def _words(alert: Alert, language: str) -> tuple[str, str]:
    catalogue = FRENCH if language == "fr" else ENGLISH
    plain = (alert.data.get("title") or alert.kind, alert.data.get("action", ""))
    return catalogue.get(alert.kind, plain)


def _listed(names: Sequence[str], more: str, unnamed: int) -> str:
    """`unnamed`: how many there are beside `names`."""
    shown = ", ".join(names[:NAMED])
    rest = max(0, len(names) - NAMED) + unnamed
    return f"{shown}, {more.format(count=rest)}" if rest > 0 else shown
