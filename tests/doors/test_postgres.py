"""The command line on PostgreSQL: the same as on a file, also beside a process that writes."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.crash.replay import kill_and_resume
from tests.doors.commands import PROGRAM, Ended, dialogues, environment, jidoka, write_lines
from tests.doors.stores import everything, fill, look
from tests.doors.writers import writing_to
from tests.servers.postgres import Postgres


@pytest.fixture
def url(postgres_dsn: str) -> str:
    return fill(postgres_dsn)


@pytest.fixture
def change(postgres: Postgres, database: str) -> Callable[[str], object]:
    """Changes what is in the database behind the store's back."""
    return lambda statement: postgres.ask(statement, database=database)


def said_by(ended: Ended) -> Any:
    return json.loads(ended.stdout)


def test_a_store_is_verified_and_damage_is_named(url: str, change: Callable[[str], object]) -> None:
    with writing_to(url):
        assert jidoka("verify", url) == (0, "3 sessions verified\n", "")

    change(
        "delete from jidoka_entries e using jidoka_sessions s"
        " where e.arrival = s.arrival and session_id = 'session_b' and e.seq in (4, 5)"
    )
    ended = jidoka("verify", url, "--json")

    assert ended.status == 1
    (bad,) = said_by(ended)["damaged"]
    assert (bad["session_id"], bad["first_seq"], bad["last_seq"]) == ("session_b", 4, 5)


def test_a_store_is_backed_up_while_another_process_writes(url: str, tmp_path: Path) -> None:
    copy = tmp_path / "backup.db"
    with writing_to(url):
        assert said_by(jidoka("backup", url, str(copy), "--json")) == {"sessions": 3, "damaged": [], "file": str(copy)}

    assert look(copy, lambda store: store.read("session_b")) == look(url, lambda store: store.read("session_b"))
    assert len(look(copy, lambda store: store.read("session_a"))) > 20


def test_a_backup_is_restored_into_an_empty_database_only(url: str, postgres: Postgres, tmp_path: Path) -> None:
    copy, empty = tmp_path / "backup.db", postgres.create_database()
    again = postgres.dsn(empty)
    jidoka("backup", url, str(copy))

    assert jidoka("restore", str(copy), again) == (0, "3 sessions restored\n", "")
    refused = jidoka("restore", str(copy), again)

    assert (refused.status, refused.stdout) == (2, "")
    assert "has sessions already" in refused.stderr
    assert look(again, everything) == look(url, everything) == look(copy, everything)
    postgres.drop_database(empty)


def test_sessions_are_listed_shown_followed_and_exported_while_another_process_writes(url: str) -> None:
    with writing_to(url):
        listed = said_by(jidoka("sessions", "list", "--store", url, "--metadata", "number=1", "--json"))
        shown = said_by(jidoka("sessions", "show", "session_a", "--store", url, "--json"))
        tail = jidoka("sessions", "tail", "session_b", "--store", url, "--after", "5").stdout
        exported = said_by(jidoka("sessions", "export", "session_c", "--store", url))

    assert [info["session_id"] for info in listed["sessions"]] == ["session_b"]
    assert shown["info"]["last_seq"] > 20
    assert [line.split()[0] for line in tail.splitlines()] == ["6", "7"]
    assert (exported["session_id"], len(exported["entries"])) == ("session_c", 7)


def test_a_session_is_ended_beside_a_process_that_writes_to_another(url: str) -> None:
    with writing_to(url):
        ended = jidoka("sessions", "terminate", "session_b", "--store", url, "--reason", "enough")
        purged = jidoka("sessions", "terminate", "session_c", "--store", url, "--purge")

    assert [done.status for done in (ended, purged)] == [0, 0]
    listed = said_by(jidoka("sessions", "list", "--store", url, "--json"))
    assert [info["session_id"] for info in listed["sessions"]] == ["session_a"]
    assert look(url, lambda store: store.head("session_b")).status == "terminated"
    assert look(url, lambda store: store.head("session_c")) is None


@pytest.mark.parametrize("command", [["verify"], ["sessions", "list", "--store"]])
def test_looking_at_an_empty_database_makes_nothing(
    postgres: Postgres, database: str, postgres_dsn: str, command: list[str]
) -> None:
    status, said, errors = jidoka(*command, postgres_dsn)

    assert (status, said, errors) == (1, "", "jidoka: there are no tables of jidoka in the database\n")
    assert postgres.ask("select count(*) from pg_class where relname like 'jidoka%'", database=database) == ["0"]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_replay_survives_its_processes(postgres_dsn: str, tmp_path: Path) -> None:
    recorded = write_lines(tmp_path / "recorded.jsonl", dialogues(200))

    outcome = kill_and_resume(recorded, postgres_dsn, kills=2, seed=7, within=0.6, more=("--kill-rate", "0.05"))

    assert outcome.is_clean
    assert (outcome.report["sessions"], outcome.report["messages"]) == (200, 1200)
    assert outcome.report["resumed"] > 0
    assert outcome.verified == {"sessions": 200, "damaged": []}


def test_a_chat_says_that_its_store_is_away_and_goes_on_when_it_is_back(url: str, postgres: Postgres) -> None:
    command = [*PROGRAM, "chat", "session_a", "--store", f"{url}?limit=1", "--json"]
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def hear(*types: str) -> dict[str, Any]:
            assert process.stdout is not None
            return next(said for said in map(json.loads, process.stdout) if said["type"] in types)

        process.stdin.write("hello\n")
        assert hear("message", "error")["message"]["content"] == "hello"
        postgres.stop()
        process.stdin.write("anybody?\n")
        assert hear("message", "error")["code"] == "store_unavailable"
        postgres.start()
        process.stdin.write("and now?\n")
        while (said := hear("message", "error"))["type"] == "error":
            assert said["code"] == "store_unavailable"
            process.stdin.write("and now?\n")
        assert said["message"]["content"] == "and now?"
        process.stdin.close()
        assert process.wait(20) == 0
