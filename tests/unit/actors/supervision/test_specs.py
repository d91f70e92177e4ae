"""Child specs and flags (S01-S12)."""

from __future__ import annotations

from typing import Any
from weakref import ref

import pytest

from jidoka.actors.errors import ChildNotFound, InvalidChildSpec
from jidoka.actors.policy import Policy
from jidoka.actors.restarts import check_options
from jidoka.actors.specs import ChildSpec, check_specs
from jidoka.actors.supervisor import Supervisor
from tests.unit.actors.supervision.stage import Careful, Probe, Stage, how_it_ended, kid


def test_s01_what_a_spec_and_a_supervisor_leave_out_is_otps() -> None:
    worker, supervisor, flags = ChildSpec("a", Probe), ChildSpec("s", Supervisor), Policy()

    assert (worker.restart, worker.significant, worker.shutdown, worker.type) == ("permanent", False, 5.0, "worker")
    assert (supervisor.shutdown, supervisor.type) == ("infinity", "supervisor")
    assert (flags.strategy, flags.max_restarts, flags.within, flags.auto_shutdown) == ("one_for_one", 1, 5.0, "never")


REFUSED_SPECS = [
    pytest.param({"actor": Probe}, "id", id="S02-no-id"),
    pytest.param({"id": "x"}, "actor", id="S02-no-start"),
    pytest.param({"restart": "always"}, "always", id="S03-restart"),
    pytest.param({"shutdown": -1}, "-1", id="S03-shutdown"),
    pytest.param({"shutdown": float("nan")}, "nan", id="S03-shutdown-nan"),
    pytest.param({"shutdown": "soon"}, "soon", id="S03-shutdown-text"),
    pytest.param({"type": "thing"}, "thing", id="S03-type"),
    pytest.param({"significant": 1}, "1", id="S03-significant"),
    pytest.param({"start_timeout": 0}, "0", id="S03-start-timeout"),
    pytest.param({"id": 7}, "7", id="S03-id"),
    pytest.param({"restrat": "temporary"}, "restrat", id="S06-DV1"),
    pytest.param({"significant": True, "restart": "transient"}, "auto_shutdown", id="S07-never"),
    pytest.param({"actor": "junk"}, "junk", id="S17-no-class"),
    pytest.param({"actor": dict}, "dict", id="S17-no-actor"),
]


@pytest.mark.parametrize(("spec", "named"), REFUSED_SPECS)
async def test_a_wrong_spec_is_refused_by_name_and_nothing_is_started(
    spec: dict[str, Any], named: str, stage: Stage
) -> None:
    first = stage.spec(kid("first"))
    wrong = spec if named in ("id", "actor") else {"id": "x", "actor": Probe, **spec}

    with pytest.raises(InvalidChildSpec, match=named):
        await stage.system.supervise([first, wrong])

    assert stage.log == []


def test_s06_the_keys_of_a_spec_are_checked_when_it_is_made_too() -> None:
    with pytest.raises(InvalidChildSpec, match="restrat"):
        ChildSpec("x", Probe, restrat="temporary")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"strategy": "some"}, id="S04-strategy"),
        pytest.param({"max_restarts": -1}, id="S04-intensity"),
        pytest.param({"max_restarts": True}, id="S04-intensity-bool"),
        pytest.param({"within": 0}, id="S04-period"),
        pytest.param({"auto_shutdown": "maybe"}, id="S04-auto-shutdown"),
    ],
)
async def test_wrong_flags_are_refused(options: dict[str, Any], stage: Stage) -> None:
    with pytest.raises(InvalidChildSpec, match=str(next(iter(options.values())))):
        await stage.supervise(kid("a"), **options)

    with pytest.raises(InvalidChildSpec):
        check_options(
            **{"strategy": "one_for_all", "max_restarts": 1, "within": 5, "auto_shutdown": "never", **options}
        )
    assert stage.log == []


async def test_s04_an_unknown_flag_is_refused(stage: Stage) -> None:
    with pytest.raises(InvalidChildSpec, match="max_restart"):
        await stage.supervise(kid("a"), max_restart=3)

    assert stage.log == []


async def test_s05_two_children_with_one_id_are_refused_and_none_is_started(stage: Stage) -> None:
    with pytest.raises(InvalidChildSpec, match="'a'"):
        await stage.supervise(kid("a"), kid("a"))

    assert stage.log == []


def test_s07_a_significant_child_must_be_able_to_end_for_good() -> None:
    with pytest.raises(InvalidChildSpec, match="permanent"):
        check_specs([ChildSpec("x", Probe, significant=True)], auto_shutdown="any_significant")


async def test_s08_a_dynamic_supervisor_has_exactly_one_template(stage: Stage) -> None:
    with pytest.raises(InvalidChildSpec, match="exactly one"):
        await stage.system.supervise_dynamic([stage.spec(kid("a")), stage.spec(kid("b"))])  # pyright: ignore


def test_s09_specs_are_checked_without_starting_anything() -> None:
    good: dict[str, Any] = {"id": "a", "actor": Probe}

    assert [spec.id for spec in check_specs([good, ChildSpec("b", Probe)])] == ["a", "b"]
    with pytest.raises(InvalidChildSpec, match="'c'"):
        check_specs([good, {"id": "c", "actor": Probe, "junk": 1}, {}])


async def test_s10_a_shutdown_of_0_seconds_is_a_kill(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", stops=1.0, shutdown=0))
    child = await tree.child("a")

    await tree.terminate_child("a")

    assert (await how_it_ended(child)).kind == "killed"
    assert "done a" not in stage.log
    assert stage.world.monotonic() == 0


async def test_s11_a_running_supervisor_tells_its_specs(stage: Stage) -> None:
    tree = await stage.supervise(kid("a", restart="transient"))

    spec = await tree.spec("a")

    assert (spec.id, spec.actor, spec.restart, spec.shutdown) == ("a", Careful, "transient", 5.0)
    with pytest.raises(ChildNotFound):
        await tree.spec("b")


class Payload:
    """A start argument that can be counted."""

    def __init__(self) -> None:
        self.data = bytes(100_000)


async def test_s12_start_arguments_of_temporary_children_are_not_kept(stage: Stage) -> None:
    payloads: list[ref[Payload]] = []

    class Loaded(Careful):
        def __init__(self, payload: Payload) -> None:
            super().__init__(stage, kid("loaded"))
            assert len(payload.data) == 100_000

    def loaded() -> Payload:
        payloads.append(ref(payload := Payload()))
        return payload

    dynamic = await stage.system.supervise_dynamic(ChildSpec("x", Loaded, restart="temporary"))
    static = await stage.supervise()
    for number in range(5_000):
        await dynamic.start_child(loaded())
        await static.start_child(ChildSpec(f"y{number}", Loaded, (loaded(),), restart="temporary"))

    assert len(await dynamic.which_children()) == len(await static.which_children()) == 5_000
    assert not any(payload() for payload in payloads)
