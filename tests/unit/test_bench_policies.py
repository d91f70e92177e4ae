"""The table of context policies is made, and says what was measured."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
POLICIES = ("recent", "smart", "budget", "summarise")


def table(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench.policies", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=25)


def test_every_policy_is_measured_on_both_kinds_of_sessions(tmp_path: Path) -> None:
    lines = [{"id": n, "turns": [["user", f"it is down {n}"], ["assistant", "I see"]]} for n in range(400)]
    file = tmp_path / "dialogues.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))

    run = table(str(file), "--json", "--sessions", "2", "--turns", "20", "--budget", "300", "--resident", "500")

    assert run.returncode == 0, run.stderr
    said: dict[str, Any] = json.loads(run.stdout)
    assert [(one["sessions"], one["policy"]) for one in said["outcomes"]] == [
        (kind, policy) for kind in ("dialogues", "tools") for policy in POLICIES
    ]
    for one in said["outcomes"]:
        assert 0 < one["tokens_after"] <= one["budget"] < one["tokens_before"]
        assert one["critical_kept"] <= one["critical"]
    assert len(said["build_context_ms"]) == 18
    assert len(said["before_a_call_ms"]) == 36


def test_the_other_bench_knows_it_by_name() -> None:
    command = [sys.executable, "-m", "tests.bench", "--rows", "policies", "--texts", "nowhere"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=25)

    assert (run.returncode, "nowhere" in run.stderr) == (2, True)


def test_a_file_that_is_not_there_is_bad_input() -> None:
    run = table("nowhere")

    assert (run.returncode, "nowhere" in run.stderr) == (2, True)
