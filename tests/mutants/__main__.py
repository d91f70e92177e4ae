"""`python -m tests.mutants [NAME …]`: break a copy of the code in one place at a time; do the tests notice?

Exit status 0 only if every sabotage was caught. A sabotage whose text is no longer in the code is an error, so that the
list is kept up to date with the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic

from tests.mutants.sabotages import SABOTAGES, Sabotage

ROOT = Path(__file__).parents[2]
# Seconds that the tests of one sabotage may take at least, and how much longer than all of them took when sound.
LIMIT, PATIENCE = 300, 3


def run(sabotage: Sabotage, copy: Path, limit: float) -> str:
    """caught, survived, or what is wrong with the list."""
    target = copy / sabotage.file
    sound = target.read_text()
    if sound.count(sabotage.text) != 1:
        return f"error: its text stands {sound.count(sabotage.text)} times in {sabotage.file}"
    target.write_text(sound.replace(sabotage.text, sabotage.broken))
    try:
        return "caught" if not passes(copy, sabotage.tests, limit=limit) else "SURVIVED"
    except subprocess.TimeoutExpired:
        # It hangs: nothing is as slow as that.
        return "caught"
    finally:
        target.write_text(sound)


def passes(copy: Path, tests: tuple[str, ...], *, limit: float | None = None, aloud: bool = False) -> bool:
    """Whether *tests* pass in the copy."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--timeout", "60", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, timeout=limit, check=False)
    said = done.stdout.decode()[-3000:] + done.stderr.decode()[-3000:]
    if done.returncode not in (0, 1):
        raise RuntimeError(said)
    if done.returncode and aloud:
        print(said)
    return done.returncode == 0


def main(names: list[str]) -> int:
    """Run the sabotages by those names, or all of them."""
    chosen = [sabotage for sabotage in SABOTAGES if not names or sabotage.name in names]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        ignore = shutil.ignore_patterns(".venv", ".git", "__pycache__", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT, copy, ignore=ignore)
        every = tuple(sorted({test for sabotage in chosen for test in sabotage.tests}))
        began = monotonic()
        if not passes(copy, every, aloud=True):
            print("the tests fail without any sabotage")
            return 1
        limit = max(LIMIT, PATIENCE * (monotonic() - began))
        verdicts: dict[str, str] = {}
        for sabotage in chosen:
            verdicts[sabotage.name] = run(sabotage, copy, limit)
            print(f"{verdicts[sabotage.name]:10} {sabotage.name}", flush=True)
    caught = sum(verdict == "caught" for verdict in verdicts.values())
    print(f"{caught} of {len(verdicts)} sabotages caught")
    return 0 if caught == len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
