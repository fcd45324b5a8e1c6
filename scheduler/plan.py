"""Plan a post: which delivery goes where, in which words, and what stands in the way. Pure.

Accepting a post and previewing it run the same code, so that the preview cannot lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from channels.base import Message, Part, Post
from channels.outcome import HealthStatus, Problem, Severity
from scheduler.roster import Member

_WAITS = frozenset({HealthStatus.ACCESS_LOST, HealthStatus.VANISHED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One delivery to be: `fallbacks` are the account ids of its plan B, in order."""

    member: Member
    message: Message
    part: Part = Part.POST
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """A problem of one account's delivery."""

    member: Member
    problem: Problem

    @property
    def blocks(self) -> bool:
        return self.problem.severity is Severity.ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`deliveries` holds only what can be published; `problems` says what cannot, and what the
    author should know."""

    deliveries: tuple[Planned, ...]
    problems: tuple[PlanProblem, ...]

    @property
    def blocking(self) -> tuple[PlanProblem, ...]:
        return tuple(problem for problem in self.problems if problem.blocks)


def make_plan(
    post: Post, members: Sequence[Member], routes: Mapping[str, Sequence[str]], now: int
) -> Plan:
    """`routes` maps an account id to its fallbacks; `now` is microseconds since 1970."""
    deliveries: list[Planned] = []
    problems: list[PlanProblem] = []
    for member in members:
        message = member.channel.render(post, member.account)
        found = [*member.channel.check(message, member.account), *_standing(member, now)]
        fallbacks = tuple(routes.get(member.id, ()))
        if not any(problem.severity is Severity.ERROR for problem in found):
            deliveries.append(Planned(member=member, message=message, fallbacks=fallbacks))
            if post.first_comment:
                found += _plan_comment(post, member, deliveries)
        problems += [PlanProblem(member, problem) for problem in found]
    return Plan(deliveries=tuple(deliveries), problems=tuple(problems))


def _plan_comment(post: Post, member: Member, deliveries: list[Planned]) -> list[Problem]:
    """Append the first comment's delivery, or say that this channel has no comments."""
    if not member.channel.capabilities.first_comment:
        return [
            Problem(
                code="no-first-comment",
                detail=f"{member.account.name} has no comments: it goes without the first one",
                field="first_comment",
                remedy="put what matters into the body",
                severity=Severity.WARNING,
            )
        ]
    message = member.channel.render(post, member.account, Part.FIRST_COMMENT)
    deliveries.append(Planned(member=member, message=message, part=Part.FIRST_COMMENT))
    return []


def _standing(member: Member, now: int) -> list[Problem]:
    """What the account's own state means for the post: taken, and possibly held."""
    if member.status in _WAITS:
        detail = f"{member.account.name} cannot publish now ({member.status})"
        remedy = "reconnect the account; until then its plan B applies"
    elif member.paused_until > now:
        detail = f"{member.account.name} is paused ({member.pause_reason or 'by hand'})"
        remedy = "resume the account; until then the delivery waits"
    else:
        return []
    return [
        Problem(
            code="account-waits",
            detail=detail,
            field="accounts",
            remedy=remedy,
            severity=Severity.WARNING,
        )
    ]
