"""How a publish of several steps ends early."""

from __future__ import annotations

from channels.outcome import Evidence, Outcome, Problem, Rejected


class Stop(Exception):  # noqa: N818 -- it carries an outcome, which may be no error
    """One step did not succeed: `outcome` is that of the whole delivery. Never leaves an
    adapter."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


def page_gone(evidence: Evidence) -> Rejected:
    """What was published is no longer there to be changed."""
    return Rejected(
        problem=Problem(
            code="post-gone",
            detail="the blog no longer has this article",
            remedy="publish it as a new post",
        ),
        evidence=evidence,
    )
