"""Plan a post: which delivery goes where, in which words, and what stands in the way. Pure.

Accepting a post and previewing it run the same code, so that the preview cannot lie; accepting
plans `scheduler.outline`, which has the same problems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from channels.media import foreseen
from channels.outcome import HealthStatus, Problem, Severity
from channels.posts import Message, Part, Post
from scheduler.limits import PAUSES, SHUT
from scheduler.outline import outline
from scheduler.refusals import FieldError, Refusal, RefusedError, invalid
from scheduler.roster import Member

# The `pause_reason` of an account that a person paused.
BY_HAND = "by hand"

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


class Places(Protocol):
    """Where an author wants something to go; with neither: to every account not paused."""

    @property
    def channels(self) -> Sequence[str] | None: ...
    @property
    def accounts(self) -> Sequence[str] | None: ...


def choose(draft: Places, members: Mapping[str, Member], now: int) -> list[Member]:
    """The accounts a draft is for. Error: RefusedError naming each unknown one."""
    errors: list[FieldError] = []
    if draft.channels is None and draft.accounts is None:
        chosen = [member for member in members.values() if not paused_by_hand(member, now)]
        if not chosen:
            raise invalid(
                "accounts",
                "no account is connected and active",
                "connect one: POST /api/v1/accounts",
            )
        return chosen
    wanted: dict[str, Member] = {}
    for index, name in enumerate(draft.channels or ()):
        found = [member for member in members.values() if member.channel.channel == name]
        if not found:
            known = sorted({member.channel.channel for member in members.values()})
            errors.append(
                FieldError(
                    f"channels[{index}]",
                    f"no account is connected to a channel {name!r}",
                    f"connected: {', '.join(known) or 'none'}",
                )
            )
        wanted.update((member.id, member) for member in found)
    for index, account_id in enumerate(draft.accounts or ()):
        if account_id not in members:
            errors.append(
                FieldError(
                    f"accounts[{index}]",
                    f"there is no account {account_id!r}",
                    "see GET /api/v1/accounts",
                )
            )
        else:
            wanted[account_id] = members[account_id]
    if not wanted and not errors:
        errors.append(
            FieldError("accounts", "no account is chosen", "name one, or leave the field out")
        )
    if errors:
        raise RefusedError(Refusal.INVALID, "the post cannot go where it should", errors)
    return list(wanted.values())


def paused_by_hand(member: Member, now: int) -> bool:
    """A person's pause takes an account out of the default choice; the engine's pauses do not:
    their deliveries wait, or take plan B."""
    return member.paused_until > now and member.pause_reason == BY_HAND


def names_accounts(draft: Places) -> bool:
    """Whether the author chose, rather than leaving it to us."""
    return draft.channels is not None or draft.accounts is not None


def refuse_unfit(plan: Plan, *, named: bool) -> Plan:
    """Refuse a plan that misses an account the author named, or that has no delivery left."""
    if plan.blocking and (named or not plan.deliveries):
        raise RefusedError(
            Refusal.INVALID,
            "the post does not fit every account it is for",
            [
                FieldError(
                    found.problem.field or "accounts",
                    f"{found.member.account.name}: {found.problem.detail}",
                    found.problem.remedy,
                )
                for found in plan.blocking
            ],
        )
    return plan


def make_plan(
    post: Post,
    members: Sequence[Member],
    routes: Mapping[str, Sequence[str]],
    now: int,
    *,
    outlined: bool = False,
) -> Plan:
    """`routes` maps an account id to its fallbacks; `now` is microseconds since 1970. `outlined`:
    only the problems are of interest, and whether there is a delivery; its words may be others."""
    whole = post
    deliveries: list[Planned] = []
    problems: list[PlanProblem] = []
    for member in members:
        post = outline(whole, member.channel) if outlined else whole
        message = member.channel.render(foreseen(post, member.channel), member.account)
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
        detail = f"{member.account.name} cannot publish now ({SHUT[member.status]})"
        remedy = "reconnect the account; until then its plan B applies"
    elif member.paused_until > now:
        why = member.pause_reason or BY_HAND
        detail = f"{member.account.name} is paused ({PAUSES.get(why, why)})"
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
