"""I02: what was confirmed survives a power cut that takes a random half of everything that was not synced."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.proof.places import LONG

ROOT = Path(__file__).parents[2]
HEADER = f"{'I02, power cuts':24} {'cuts':>6} {'acks':>10} {'lost':>8} {'unopenable':>11} {'seconds':>8}"


def lost(mode: str, seeds: int, cuts: int) -> dict[str, int]:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "tests.proof.power", mode, str(seeds), str(cuts)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    counts = f"{found['cuts']:6,} {found['acks']:10,} {found['lost']:8,} {found['unopenable']:11,}"
    print(f"\n{HEADER}\n{'synchronous=' + mode:24} {counts} {time.perf_counter() - begun:8.1f}")
    return found


@pytest.mark.slow
@pytest.mark.timeout(3600 if LONG else 120)
def test_three_hundred_power_cuts_lose_nothing() -> None:
    found = lost("full", *((500, 50) if LONG else (6, 50)))

    assert found["acks"] > 10 * found["cuts"]
    assert found["lost"] == found["unopenable"] == 0


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_control_durability_process_loses_the_last_commits_and_never_the_database() -> None:
    found = lost("normal", 1, 25)

    assert found["lost"] > 0
    assert found["unopenable"] == 0


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_control_a_store_that_never_syncs_is_ruined() -> None:
    found = lost("off", 1, 10)

    assert found["lost"] > 0
    assert found["unopenable"] > 0
