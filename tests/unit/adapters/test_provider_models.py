"""Providers' models against servers that speak OpenAI's and Anthropic's protocols, faults included."""

import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.adapters.provider_failures import SENTENCES
from jidoka.adapters.pydantic_ai import PydanticAIModel
from jidoka.core.chunks import Chunk, LLMConfig, ToolCall, Usage
from jidoka.core.endpoints import ModelLimits
from jidoka.core.errors import TurnFailed
from jidoka.core.messages import Context
from jidoka.ports.world import World
from jidoka.testing.world import VirtualWorld
from tests.stubs.server import CUT, HOLD, Script, Stub, a_stub, refuses, says
from tests.stubs.wires import WIRES, OpenAIWire, ResponsesWire, Wire
from tests.unit.adapters.test_echo import context

KEY = "sk-canary-8d1f"
QUICK = ModelLimits(retry_first=0.001, retry_wait=0.01)
LINE = b": still there\n\n"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The providers' SDKs are for asyncio."""
    return "asyncio", {}


@pytest.fixture(params=WIRES, ids=lambda wire: wire.provider)
def wire(request: pytest.FixtureRequest) -> Wire:
    return request.param


@asynccontextmanager
async def a_model(
    wire: Wire, stub: Stub, *, limits: ModelLimits = QUICK, world: World | None = None, **options: Any
) -> AsyncIterator[PydanticAIModel]:
    place = {"base_url": stub.url(wire.base), "api_key": KEY, **options}
    model = PydanticAIModel(f"{wire.provider}:stub", limits=limits, world=world, **place)
    try:
        yield model
    finally:
        await model.aclose()


async def answer(model: PydanticAIModel, *said: Any, **options: Any) -> list[Chunk]:
    heard = context(*(said or [("user", "hi")]))
    return [chunk async for chunk in model.respond(heard, LLMConfig(model="x", **options))]


@asynccontextmanager
async def answering(model: PydanticAIModel) -> AsyncIterator[AsyncIterator[Chunk]]:
    """An answer that may be left early."""
    async with aclosing(model.respond(context(("user", "hi")), LLMConfig())) as chunks:
        yield chunks


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def well(wire: Wire, *pieces: str) -> Script:
    return says(wire.begin(), *(wire.piece(piece) for piece in pieces or ("fine",)), wire.end())


async def failure(model: PydanticAIModel, **options: Any) -> TurnFailed:
    with pytest.raises(TurnFailed) as caught:
        await answer(model, **options)
    error: BaseException | None = caught.value
    assert caught.value.error.startswith(f"{caught.value.reason}: {SENTENCES[str(caught.value.reason)]}")
    assert KEY not in f"{error!r}{error}{error.__dict__}"
    assert error.__cause__ is error.__context__ is None
    return caught.value


# --- what comes --------------------------------------------------------------------------------------------------


async def test_text_comes_as_it_is_sent_and_then_what_it_took(wire: Wire) -> None:
    async with a_stub(well(wire, "Hel", "lo", " wörld")) as stub, a_model(wire, stub) as model:
        chunks = await answer(model)

        assert [chunk.text for chunk in chunks[:-1]] == ["Hel", "lo", " wörld"]
        assert chunks[-1].usage == Usage(input_tokens=11, output_tokens=5, cached_tokens=3)


async def test_a_tool_call_is_passed_on_when_it_is_complete(wire: Wire) -> None:
    call = wire.tool_call("c1", "look", '{"at', '": "it"}')
    async with (
        a_stub(says(wire.begin(), wire.piece("let me see"), call, wire.end())) as stub,
        a_model(wire, stub) as model,
    ):
        chunks = await answer(model)

        assert [chunk.tool_call for chunk in chunks if chunk.tool_call] == [
            ToolCall(id="c1", name="look", arguments={"at": "it"})
        ]


async def test_arguments_that_are_not_an_object_are_told_as_they_are(wire: Wire) -> None:
    async with a_stub(says(wire.begin(), wire.tool_call("c1", "look", '{"at'), wire.end())) as stub:
        async with a_model(wire, stub) as model:
            chunks = await answer(model)

        assert chunks[0].tool_call is not None
        assert chunks[0].tool_call.arguments == {"INVALID_JSON": '{"at'}


async def test_each_piece_is_there_before_the_next_is_sent(wire: Wire) -> None:
    go_on = anyio.Event()
    script = says(wire.begin(), wire.piece("one"), go_on, wire.piece("two"), wire.end())
    async with a_stub(script) as stub, a_model(wire, stub) as model, answering(model) as chunks:
        assert (await anext(chunks)).text == "one"
        go_on.set()
        assert (await anext(chunks)).text == "two"


async def test_the_first_token_is_here_as_soon_as_it_is_sent(wire: Wire) -> None:
    sent: list[float] = []

    def steps() -> Iterator[bytes]:
        yield wire.begin()
        sent.append(time.perf_counter())
        yield wire.piece("token")
        yield wire.end()

    delays: list[float] = []
    async with a_stub(well(wire)) as stub, a_model(wire, stub) as model:
        await answer(model)
        for _ in range(20):
            stub.scripts[0] = Script(steps())
            async for chunk in model.respond(context(("user", "x")), LLMConfig()):
                if chunk.text:
                    delays.append(time.perf_counter() - sent[-1])

    delays.sort()
    print(f"\nfirst token, {wire.provider}: median {1000 * delays[10]:.2f} ms, worst {1000 * delays[-1]:.2f} ms")
    assert delays[10] < 0.1


async def test_what_is_asked_is_well_formed(wire: Wire) -> None:
    said = [
        ("system", "be kind"),
        ("assistant", "hello"),
        ("user", "a"),
        ("user", "b"),
        ("tool", "c"),
        ("system", "be brief"),
    ]
    async with a_stub(well(wire)) as stub, a_model(wire, stub) as model:
        await answer(model, *said, temperature=0.5, max_tokens=100, stop=["."])

        request = stub.seen[0]
        assert request.path.partition("?")[0] == wire.path
        roles = wire.roles(request.body)
        if isinstance(wire, OpenAIWire):
            assert roles == ["system", "system", "user", "assistant", "user", "user", "user"]
        else:
            assert roles == ["user", "assistant", "user"]
            assert request.body["system"] == "be kind\n\nbe brief"
        assert request.body["temperature"] == 0.5
        assert request.body["model"] == "stub"


async def test_json_that_was_asked_for_is_json(wire: Wire) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    async with a_stub(well(wire, '{"a"', ": 1}"), well(wire, "sorry")) as stub, a_model(wire, stub) as model:
        assert text_of(await answer(model, output_schema=schema)) == '{"a": 1}'
        assert (await failure(model, output_schema=schema)).reason == "garbled"
        assert '"required"' in str(stub.seen[0].body).replace("'", '"')


# --- what goes wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "type", "reason", "requests"),
    [
        (429, "rate_limit_error", "rate_limited", 3),
        (500, "api_error", "server_error", 3),
        (503, "api_error", "unavailable", 3),
        (529, "overloaded_error", "overloaded", 3),
        (401, "authentication_error", "unauthorized", 1),
        (403, "permission_error", "unauthorized", 1),
        (402, "billing_error", "quota_exceeded", 1),
        (404, "not_found_error", "model_not_found", 1),
        (400, "invalid_request_error", "rejected", 1),
        (422, "invalid_request_error", "rejected", 1),
    ],
)
async def test_an_error_has_one_word_for_it(wire: Wire, status: int, type: str, reason: str, requests: int) -> None:
    body = wire.error(f"no: {KEY}", type)
    async with a_stub(refuses(status, body, X_Echo=KEY)) as stub, a_model(wire, stub) as model:
        error = await failure(model)

        assert error.reason == reason
        assert f"HTTP {status}" in error.error
        assert len(stub.seen) == requests


async def test_what_passes_is_tried_again(wire: Wire) -> None:
    body = wire.error("no", "api_error")
    async with a_stub(refuses(500, body), says(wire.begin(), CUT), well(wire)) as stub, a_model(wire, stub) as model:
        assert text_of(await answer(model)) == "fine"
        assert len(stub.seen) == 3


async def test_a_provider_says_when_to_come_back(wire: Wire) -> None:
    body = wire.error("slow down", "rate_limit_error")
    async with a_stub(refuses(429, body, Retry_After="0"), well(wire)) as stub, a_model(wire, stub) as model:
        assert text_of(await answer(model)) == "fine"
        assert len(stub.seen) == 2


async def test_whoever_asks_for_more_time_than_there_is_is_not_waited_for(wire: Wire) -> None:
    body = wire.error("slow down", "rate_limit_error")
    async with a_stub(refuses(429, body, Retry_After="7")) as stub, a_model(wire, stub) as model:
        error = await failure(model)

        assert (error.reason, error.retry_after) == ("rate_limited", 7.0)
        assert "7 s" in error.error
        assert len(stub.seen) == 1


async def test_a_provider_may_ask_in_vain(wire: Wire) -> None:
    async with (
        a_stub(refuses(429, wire.error("x", "rate_limit_error"), Retry_After="soon")) as stub,
        a_model(wire, stub) as model,
    ):
        assert (await failure(model)).retry_after is None


def cut(wire: Wire) -> dict[str, tuple[Script, str]]:
    whole = wire.piece("a whole token")
    return {
        "after a piece": (says(wire.begin(), wire.piece("half"), CUT), "cut_off"),
        "in the middle of a token": (says(wire.begin(), wire.piece("half"), whole[: len(whole) // 2], CUT), "cut_off"),
        "without a word": (says(wire.begin(), wire.piece("half"), is_chunked=False), "cut_off"),
        "by an error": (says(wire.begin(), wire.piece("half"), wire.in_stream_error(KEY)), "server_error"),
        "by garbage": (says(wire.begin(), wire.piece("half"), b"event: message_delta\ndata: {nonsense\n\n"), "garbled"),
        "by the filter": (
            says(
                wire.begin(),
                wire.piece("half"),
                wire.end(reason="content_filter" if wire.provider == "openai" else "refusal"),
            ),
            "filtered",
        ),
    }


@pytest.mark.parametrize("how", list(cut(WIRES[0])))
async def test_a_stream_that_breaks_off_is_not_begun_again(wire: Wire, how: str) -> None:
    script, reason = cut(wire)[how]
    async with a_stub(script, well(wire)) as stub, a_model(wire, stub) as model:
        assert (await failure(model)).reason == reason
        assert len(stub.seen) == 1
        assert text_of(await answer(model)) == "fine"


@pytest.mark.parametrize(
    "script",
    [
        says(b"<html>hello</html>", content_type="text/html"),
        says(b'{"an": "answer"}', content_type="application/json"),
        says(b"data: \xff\xfe\n\n"),
        says(b"event: message_start\ndata: {nonsense\n\n"),
        says(b"\x1f\x8b\x08\x00", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["html", "json", "bytes", "nonsense", "gzip"],
)
async def test_garbage_is_no_answer(wire: Wire, script: Script) -> None:
    async with a_stub(script) as stub, a_model(wire, stub) as model:
        assert (await failure(model)).reason == "garbled"
        assert len(stub.seen) == 1


async def test_nothing_at_all_is_no_answer(wire: Wire) -> None:
    async with a_stub(says()) as stub, a_model(wire, stub) as model:
        assert (await failure(model)).reason in {"cut_off", "garbled"}


async def test_a_server_that_is_not_there_cannot_be_reached(wire: Wire) -> None:
    async with a_stub(well(wire)) as stub:
        pass

    async with a_model(wire, stub) as model:
        assert (await failure(model)).reason == "unreachable"


async def time_passes(world: VirtualWorld, stub: Stub) -> None:
    await stub.asked.wait()
    while True:
        await world.advance(60)


@pytest.mark.parametrize("pieces", [0, 1])
async def test_a_silent_server_is_waited_for_until_the_deadline(wire: Wire, pieces: int) -> None:
    world = VirtualWorld()
    script = says(wire.begin(), *[wire.piece("half")] * pieces, HOLD)
    async with a_stub(well(wire), script) as stub, a_model(wire, stub, world=world) as model:
        await answer(model)
        stub.asked = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(time_passes, world, stub)
            error = await failure(model)
            tasks.cancel_scope.cancel()

        assert error.reason == "timed_out"
        with anyio.fail_after(5):
            await stub.left.wait()
        assert world.sleeping == 0


def endless(piece: bytes, *before: bytes) -> Iterator[bytes]:
    yield from before
    while True:
        yield piece


async def test_a_stream_without_an_end_is_ended(wire: Wire) -> None:
    stream = Script(endless(wire.piece("more and " * 100), wire.begin()))
    limits = ModelLimits(answer=100_000)
    async with a_stub(stream) as stub, a_model(wire, stub, limits=limits) as model:
        assert (await failure(model)).reason == "too_large"
        with anyio.fail_after(5):
            await stub.left.wait()


async def test_signs_of_life_are_no_answer(wire: Wire) -> None:
    limits = ModelLimits(deadline=0.5)
    async with a_stub(Script(endless(LINE))) as stub, a_model(wire, stub, limits=limits) as model:
        assert (await failure(model)).reason == "timed_out"
        # On a very slow machine its time was up before it could ask.
        if stub.asked.is_set():
            with anyio.fail_after(5):
                await stub.left.wait()


@pytest.mark.parametrize("status", [200, 500])
async def test_a_piece_of_50_megabytes_is_not_taken(wire: Wire, status: int) -> None:
    huge = Script([wire.piece("x" * 50_000_000)], status=status)
    async with a_stub(huge) as stub, a_model(wire, stub, limits=ModelLimits(attempts=1)) as model:
        assert (await failure(model)).reason == "too_large"
        with anyio.fail_after(5):
            await stub.left.wait()


# --- who goes away -----------------------------------------------------------------------------------------------


async def test_whoever_leaves_early_closes_the_providers_stream(wire: Wire) -> None:
    async with a_stub(says(wire.begin(), wire.piece("one"), HOLD)) as stub, a_model(wire, stub) as model:
        async with answering(model) as chunks:
            await anext(chunks)

        with anyio.fail_after(5):
            await stub.left.wait()


@pytest.mark.parametrize("pieces", [0, 1])
async def test_whoever_is_cancelled_closes_the_providers_stream(wire: Wire, pieces: int) -> None:
    async with (
        a_stub(well(wire), says(wire.begin(), *[wire.piece("one")] * pieces, HOLD)) as stub,
        a_model(wire, stub) as model,
    ):
        await answer(model)
        stub.asked = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer, model)
            await stub.asked.wait()
            tasks.cancel_scope.cancel()

        with anyio.fail_after(5):
            await stub.left.wait()


async def test_wherever_it_is_cancelled_no_connection_stays_in_use(wire: Wire) -> None:
    async with a_stub(well(wire)) as stub, a_model(wire, stub) as model:
        await answer(model)
        stub.scripts[0] = says(wire.begin(), wire.piece("one"), wire.piece("two"), HOLD)
        connection = await model.place.connection()
        pool: Any = connection._http._transport._pool  # pyright: ignore
        for steps in range(0, 120, 3):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(answer, model)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()

            in_use = [one for one in pool.connections if not (one.is_idle() or one.is_closed())]
            assert (steps, in_use) == (steps, [])


async def test_whoever_is_cancelled_between_two_tries_tries_no_more(wire: Wire) -> None:
    limits = ModelLimits(retry_first=3600, retry_wait=7200)
    async with a_stub(refuses(500, wire.error("no", "api_error"))) as stub, a_model(wire, stub, limits=limits) as model:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer, model)
            await stub.asked.wait()
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()

        assert len(stub.seen) == 1
        assert repr(model.place.breaker) == "<CircuitBreaker shut: 0 failed in a row>"


# --- the circuit -------------------------------------------------------------------------------------------------

ONCE = ModelLimits(attempts=1)


async def broken(wire: Wire, model: PydanticAIModel) -> None:
    for _ in range(3):
        assert (await failure(model)).reason == "server_error"


async def test_a_provider_that_keeps_failing_is_left_alone(wire: Wire) -> None:
    world = VirtualWorld()
    async with (
        a_stub(refuses(500, wire.error("no", "api_error"))) as stub,
        a_model(wire, stub, limits=ONCE, world=world) as model,
    ):
        await broken(wire, model)
        await world.advance(20)

        with pytest.raises(TurnFailed) as caught:
            await answer(model)

        assert (caught.value.reason, caught.value.retry_after) == ("circuit_open", 40.0)
        assert len(stub.seen) == 3


async def test_after_the_pause_exactly_one_asks(wire: Wire) -> None:
    world = VirtualWorld()
    go_on = anyio.Event()
    refusal = refuses(500, wire.error("no", "api_error"))
    held = says(wire.begin(), go_on, wire.piece("fine"), wire.end())
    async with (
        a_stub(refusal, refusal, refusal, held, well(wire)) as stub,
        a_model(wire, stub, limits=ONCE, world=world) as model,
    ):
        await broken(wire, model)
        await world.advance(60)
        reasons: list[str | None] = []

        async def one() -> None:
            try:
                reasons.append(text_of(await answer(model)))
            except TurnFailed as error:
                reasons.append(error.reason)

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(one)
            await anyio.wait_all_tasks_blocked()
            assert reasons == ["circuit_open"] * 19
            go_on.set()

        assert len(stub.seen) == 4
        assert sorted(map(str, reasons)) == ["circuit_open"] * 19 + ["fine"]
        assert text_of(await answer(model)) == "fine"


async def test_the_one_that_asks_does_so_once(wire: Wire) -> None:
    world = VirtualWorld()
    refusal = refuses(500, wire.error("no", "api_error"))
    async with a_stub(refusal) as stub, a_model(wire, stub, world=world) as model:
        await broken(wire, model)
        assert len(stub.seen) == 9
        await world.advance(60)

        assert (await failure(model)).reason == "server_error"
        assert len(stub.seen) == 10
        with pytest.raises(TurnFailed, match="circuit_open"):
            await answer(model)


@pytest.mark.parametrize("status", [400, 401, 404, 429])
async def test_a_provider_that_says_no_is_not_broken(wire: Wire, status: int) -> None:
    async with a_stub(refuses(status, wire.error("no", "x"))) as stub, a_model(wire, stub, limits=ONCE) as model:
        for _ in range(5):
            assert (await failure(model)).reason != "circuit_open"
        assert len(stub.seen) == 5


# --- keys --------------------------------------------------------------------------------------------------------


async def test_a_key_is_sent_to_its_own_address(wire: Wire) -> None:
    async with a_stub(well(wire)) as stub, a_model(wire, stub) as model:
        await answer(model)

        assert stub.seen[0].keys == {KEY}


async def test_no_redirect_takes_it_elsewhere(wire: Wire) -> None:
    async with a_stub(well(wire)) as other:
        away = Script([], status=307, headers={"Location": other.url(wire.base)})
        async with a_stub(away) as stub, a_model(wire, stub) as model:
            assert (await failure(model)).reason == "redirected"
            assert other.seen == []
            assert len(stub.seen) == 1


async def test_nothing_of_the_environment_goes_to_an_address_of_ones_own(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_KEY", "AUTH_TOKEN", "ORG_ID", "PROJECT_ID", "ADMIN_KEY"):
        monkeypatch.setenv(f"{wire.provider.upper()}_{name}", "env-canary")
    for provider in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{provider}_CUSTOM_HEADERS", "X-Secret: env-canary\nAuthorization: Bearer env-canary")
    async with a_stub(well(wire)) as stub, a_model(wire, stub, api_key=None) as model:
        await answer(model)

        assert "env-canary" not in str(stub.seen[0])
        assert stub.seen[0].keys == set()


async def test_a_key_of_the_environment_goes_to_the_address_of_the_environment(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{wire.provider.upper()}_API_KEY", KEY)
    async with a_stub(well(wire)) as stub:
        monkeypatch.setenv(f"{wire.provider.upper()}_BASE_URL", stub.url(wire.base))
        async with a_model(wire, stub, base_url=None, api_key=None) as model:
            assert text_of(await answer(model)) == "fine"

        assert stub.seen[0].keys == {KEY}


async def test_without_a_key_it_says_which_to_set(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "BASE_URL", "AUTH_TOKEN"):
        monkeypatch.delenv(f"{wire.provider.upper()}_{name}", raising=False)
    model = PydanticAIModel(f"{wire.provider}:x")

    with pytest.raises(TurnFailed, match=f"{wire.provider.upper()}_API_KEY") as caught:
        await answer(model)

    assert caught.value.reason == "no_api_key"


async def test_a_model_shows_its_address_and_not_its_key(wire: Wire) -> None:
    async with a_stub(well(wire)) as stub, a_model(wire, stub) as model:
        await answer(model)

        assert stub.url(wire.base) in repr(model)
        assert KEY not in f"{model!r}{model.__dict__}{model.place.__dict__}"


async def test_it_can_be_closed_and_used_again(wire: Wire) -> None:
    async with a_stub(well(wire)) as stub, a_model(wire, stub) as model:
        await answer(model)
        await model.aclose()

        assert text_of(await answer(model)) == "fine"


async def test_a_conversation_that_nobody_answered_is_asked_as_well(wire: Wire) -> None:
    empty: Context = context()
    async with a_stub(well(wire)) as stub, a_model(wire, stub) as model:
        assert [chunk.text async for chunk in model.respond(empty, LLMConfig()) if chunk.text] == ["fine"]


# --- other protocols and providers -------------------------------------------------------------------------------


async def test_openais_other_protocol_is_spoken_as_well() -> None:
    wire = ResponsesWire()
    whole = says(wire.begin(), wire.piece("Hel"), wire.piece("lo"), wire.end())
    half = says(wire.begin(), wire.piece("Hel"))
    async with a_stub(whole, half) as stub:
        model = PydanticAIModel("openai-responses:stub", base_url=stub.url(), api_key=KEY, limits=QUICK)
        chunks = await answer(model)
        error = await failure(model)
        await model.aclose()

    assert [chunk.text for chunk in chunks if chunk.text] == ["Hel", "lo"]
    assert chunks[-1].usage == Usage(input_tokens=11, output_tokens=5, cached_tokens=3)
    assert stub.seen[0].path == "/v1/responses"
    assert error.reason == "cut_off"


async def test_a_provider_that_pydantic_ai_knows_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = OpenAIWire()
    async with a_stub(well(wire), says(wire.piece("x" * 1_000_000))) as stub:
        monkeypatch.setenv("OLLAMA_BASE_URL", stub.url())
        monkeypatch.setenv("OLLAMA_API_KEY", KEY)
        model = PydanticAIModel("ollama:llama", limits=ModelLimits(chunk=100_000))
        assert text_of(await answer(model)) == "fine"
        assert (await failure(model)).reason == "too_large"
        await model.aclose()

    assert stub.seen[0].keys == {KEY}


@pytest.mark.parametrize(
    ("name", "reason", "says_so"),
    [("deepseek:x", "not_configured", "environment"), ("groq:x", "not_installed", r"pydantic-ai-slim\[groq\]")],
)
async def test_a_provider_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, name: str, reason: str, says_so: str
) -> None:
    monkeypatch.delenv("DEEPSEEK_API_KEY", raising=False)
    monkeypatch.setitem(sys.modules, "groq", None)
    monkeypatch.delitem(sys.modules, "pydantic_ai.providers.groq", raising=False)
    model = PydanticAIModel(name)

    with pytest.raises(TurnFailed, match=says_so) as caught:
        await answer(model)

    assert caught.value.reason == reason
    await model.aclose()
