"""Prometheus's own tool reads the alert rules, and has each fire when it should and not before."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.docs.test_deploy import DEPLOY, rules

PROMTOOL = shutil.which("promtool")
API, WORKER = '{job="estafette-api",instance="a"}', '{job="estafette-worker",instance="w"}'
OTHER = '{job="estafette-worker",instance="v"}'


def _of(who: str, **labels: str) -> str:
    return who.rstrip("}") + "".join(f',{name}="{value}"' for name, value in labels.items()) + "}"


WELL = {
    f"up{API}": "1x60",
    f"up{WORKER}": "1x60",
    f"estafette_db_up{API}": "1x60",
    f"estafette_db_up{WORKER}": "1x60",
    f"estafette_redis_up{WORKER}": "1x60",
    f"estafette_redis_up{API}": " ".join(["NaN"] * 61),  # an installation without one
    f"estafette_leases_lost_total{WORKER}": "0x60",
    f"estafette_rescued_total{_of(WORKER, to='unconfirmed')}": "0x60",
    f"estafette_rerouted_total{_of(WORKER, to='newsletter')}": "0x60",
    f"estafette_db_errors_total{_of(WORKER, where='arming')}": "2x60",
    f"estafette_queue_depth{_of(WORKER, state='held')}": "0x60",
    f"estafette_queue_depth{_of(WORKER, state='unconfirmed')}": "0x60",
    f"estafette_lateness_seconds_bucket{_of(WORKER, le='5')}": "0x60",
    f"estafette_lateness_seconds_bucket{_of(WORKER, le='+Inf')}": "0x60",
}
# What goes wrong after half an hour, by the alert that tells it.
WRONG = {
    "EstafetteNoWorker": {f"up{WORKER}": "1x30 0x30"},
    "EstafetteApiDown": {f"up{API}": "1x30 0x30"},
    "EstafetteDatabaseErrors": {
        f"estafette_db_errors_total{_of(WORKER, where='arming')}": "2x30 3+120x30"
    },
    "EstafetteLate": {
        f"estafette_lateness_seconds_bucket{_of(WORKER, le='+Inf')}": "0x30 1x30",
        f"estafette_lateness_seconds_bucket{_of(WORKER, le='60')}": "0x30 1x30",
    },
    "EstafetteHeld": {f"estafette_queue_depth{_of(WORKER, state='held')}": "0x30 1x30"},
    "EstafetteUnconfirmed": {
        f"estafette_queue_depth{_of(WORKER, state='unconfirmed')}": "0x30 1x90"
    },
    "EstafetteRerouting": {f"estafette_rerouted_total{_of(WORKER, to='newsletter')}": "0x30 1x30"},
    "EstafetteDatabaseDown": {f"estafette_db_up{API}": "1x30 0x30"},
    # One worker that cannot reach it, beside others that can, goes by SQL alone.
    "EstafetteRedisDown": {f"estafette_redis_up{OTHER}": "1x30 0x30"},
    "EstafetteWorkersDie": {f"estafette_rescued_total{_of(WORKER, to='unconfirmed')}": "0x30 1x30"},
    "EstafetteLeasesLost": {f"estafette_leases_lost_total{WORKER}": "0x30 1x30"},
}
# When it is told at the latest, in minutes.
LATEST = {"EstafetteLate": 38, "EstafetteUnconfirmed": 62}


def _case(alert: str, series: dict[str, str], *, at: int, fires: bool) -> dict[str, Any]:
    return {
        "name": f"{alert} at {at}",
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
                "eval_time": f"{at}m",
                "exp_samples": [{"labels": "{}", "value": int(fires)}],
            }
        ],
    }


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_each_alert_fires_when_it_should_and_not_before(tmp_path: Path) -> None:
    assert set(WRONG) == {rule["alert"] for rule in rules()}
    cases = []
    for alert, wrong in WRONG.items():
        series = WELL | wrong
        cases += [
            _case(alert, series, at=29, fires=False),
            _case(alert, series, at=LATEST.get(alert, 43), fires=True),
        ]
    suite = tmp_path / "alerts_test.yml"
    suite.write_text(
        json.dumps({"rule_files": [str(DEPLOY / "alerts.yml")], "tests": cases})  # JSON is YAML
    )
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(suite)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
