"""The servers of the tests obey: otherwise what is tested with them proves nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.postgres import Postgres, find_binaries, missing_server
from tests.servers.process import Server, ServerFailed, wait_until
from tests.servers.trees import is_alive

ROOT = Path(__file__).parents[2]


def test_what_it_keeps_survives_a_restart_and_a_kill(postgres: Postgres, database: str) -> None:
    postgres.ask("create table kept (n int); insert into kept values (1)", database=database)

    postgres.restart()
    postgres.ask("insert into kept values (2)", database=database)
    before = postgres.tree
    postgres.kill()

    assert not postgres.is_running
    assert not any(map(is_alive, before))
    postgres.start()
    assert postgres.ask("select n from kept", database=database) == ["1", "2"]


def test_a_paused_server_says_nothing_until_it_is_resumed(postgres: Postgres, database: str) -> None:
    psql = subprocess.Popen(
        [postgres.program("psql"), "-qtA", postgres.dsn(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert psql.stdin is not None
    assert psql.stdout is not None
    psql.stdin.write(b"select 1;\n")
    psql.stdin.flush()
    assert psql.stdout.readline() == b"1\n"

    # The connection of psql has a process of its own in a session of its own: it is paused too.
    postgres.pause()
    psql.stdin.write(b"select 2;\n")
    psql.stdin.flush()

    with pytest.raises(subprocess.TimeoutExpired):
        psql.wait(0.2)
    assert not postgres.answers()
    os.set_blocking(psql.stdout.fileno(), False)
    assert psql.stdout.read() is None
    postgres.resume()
    os.set_blocking(psql.stdout.fileno(), True)
    assert psql.stdout.readline() == b"2\n"
    psql.communicate()


def test_every_test_has_a_database_of_its_own(postgres: Postgres, database: str) -> None:
    other = postgres.create_database()

    postgres.ask("create table here (n int)", database=database)

    assert postgres.ask("select count(*) from pg_class where relname = 'here'", database=other) == ["0"]
    assert postgres.connections(database) == 0
    postgres.drop_database(other)


def test_a_server_that_does_not_start_says_what_its_log_says(postgres: Postgres) -> None:
    class Broken(Postgres):
        def command(self) -> list[str]:
            return [*super().command(), "-c", "no_such_setting=1"]

    broken = Broken(postgres.binaries)
    with pytest.raises(ServerFailed, match="no_such_setting"), broken:
        pass

    assert not broken.directory.exists()


def test_a_server_dies_with_the_test_run(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from tests.servers.process import Server
class Sleeper(Server):
    def command(self): return ["sleep", "1000"]
    def answers(self): return True
server = Sleeper().start()
Path({str(tmp_path / "pid")!r}).write_text(f"{{server.pid}} {{server.directory}}")
print("up", flush=True)
time.sleep(1000)
"""
    run = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE)
    assert run.stdout is not None
    with run.stdout:
        assert run.stdout.readline() == b"up\n"
    pid, directory = (tmp_path / "pid").read_text().split()
    assert is_alive(int(pid))

    run.send_signal(signal.SIGKILL)
    run.wait()

    wait_until(lambda: not is_alive(int(pid)), "the server to die")
    (Path(directory) / "log").unlink()
    Path(directory).rmdir()


def test_a_server_that_does_not_end_is_killed() -> None:
    class Stubborn(Server):
        def command(self) -> list[str]:
            return ["sh", "-c", "trap '' TERM; touch deaf; while :; do sleep 0.01; done"]

        def answers(self) -> bool:
            return (self.directory / "deaf").exists()

    with Stubborn() as server:
        server.patience = 0.1
        assert not server.stop().is_running


def test_the_newest_version_is_taken(tmp_path: Path) -> None:
    assert find_binaries(tmp_path) is None

    for version in ("9.6", "15", "18", "common"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin/postgres").touch()

    assert find_binaries(tmp_path) == tmp_path / "18/bin"


def test_a_missing_server_is_skipped_here_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="not there"):
        missing_server("it is not there")

    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="not there"):
        missing_server("it is not there")
