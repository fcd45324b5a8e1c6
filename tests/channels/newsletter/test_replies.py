"""Every row of the reply table, from the replies that servers document."""

import json
from pathlib import Path
from typing import Any

import pytest

from channels.newsletter.replies import Reply, Stage, outcome_of
from channels.outcome import AccessLost, Rejected, Throttled, Unreachable

_WIRE = Path(__file__).parents[2] / "wire" / "newsletter" / "replies.json"
_DOCUMENTED = json.loads(_WIRE.read_text(encoding="utf-8"))["replies"]


@pytest.mark.parametrize(
    "row", _DOCUMENTED, ids=lambda r: f"{r['stage']} {r['code']} {r['text']}"[:60]
)
def test_a_documented_reply_becomes_its_outcome(row: dict[str, Any]) -> None:
    outcome = outcome_of(Stage(row["stage"]), Reply(row["code"], row["text"]), "relay.example.org")

    assert type(outcome).__name__ == row["outcome"]
    said: dict[str, object] = {}
    match outcome:
        case Throttled():
            said = {"human": outcome.human}
        case Unreachable():
            said = {"permanent": outcome.permanent}
        case Rejected():
            said = {"problem": outcome.problem.code}
        case AccessLost():
            said = {"reason": outcome.reason.value}
            assert outcome.remedy
        case _:
            pass
    assert said == row["with"]
    assert outcome.evidence.status == row["code"]


def test_an_enhanced_code_counts_only_where_the_standard_puts_it() -> None:
    assert Reply(550, "5.1.1 no such user").enhanced == "5.1.1"
    assert Reply(550, "refused, trace 5.1.1").enhanced == ""
    assert Reply(450, "5.1.1 contradicts its own class").enhanced == ""
    assert Reply(550, "5.1.1-9f31 a trace").enhanced == ""
