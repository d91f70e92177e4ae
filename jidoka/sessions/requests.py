"""The messages that a session's actors understand, each with the type of its answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from jidoka.actors.request import Request
from jidoka.core.budgets import Allowance
from jidoka.core.chunks import Question, ToolCall
from jidoka.core.ledger import SessionUsage
from jidoka.core.letters import DeadLetter
from jidoka.core.messages import ActiveFile, Context, ContextStats, Message, SessionInfo
from jidoka.core.summaries import SummaryPlan
from jidoka.core.tools import CallEnd, CallInfo
from jidoka.core.turns import Decided, Place
from jidoka.core.workspaces import Look, Refresh
from jidoka.sessions.drafts import Draft
from jidoka.sessions.feed import Feed

T_co = TypeVar("T_co", covariant=True)


class Write(Request[T_co]):
    """A command. Those that wait when the context manager crashes are handled by its next incarnation, once each."""

    __slots__ = ()
    durable: ClassVar[bool] = True


# --- to the context manager: reading ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadHistory(Request[list[Message]]):
    after: int = 0
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class ReadFiles(Request[list[ActiveFile]]):
    pass


@dataclass(frozen=True, slots=True)
class ReadFileIndex(Request[dict[str, dict[str, Any]]]):
    pass


@dataclass(frozen=True, slots=True)
class ReadWorking(Request[Any]):
    key: str


@dataclass(frozen=True, slots=True)
class ReadWorkingKeys(Request[list[str]]):
    pass


@dataclass(frozen=True, slots=True)
class BuildContext(Request[Context]):
    include: tuple[str, ...]
    max_messages: int | None = None
    max_files: int | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ReadStats(Request[ContextStats]):
    pass


@dataclass(frozen=True, slots=True)
class ReadUsage(Request[SessionUsage]):
    pass


@dataclass(frozen=True, slots=True)
class ReadLetters(Request[list[DeadLetter]]):
    pass


# --- to the context manager: writing ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AddMessage(Write[Message]):
    role: str
    content: str
    metadata: dict[str, Any]
    key: str


@dataclass(frozen=True, slots=True)
class ClearHistory(Write[None]):
    key: str


@dataclass(frozen=True, slots=True)
class UpdateMetadata(Write[SessionInfo]):
    patch: dict[str, Any]
    expected_version: int | None
    key: str


@dataclass(frozen=True, slots=True)
class AddFile(Write[list[ActiveFile]]):
    path: str


@dataclass(frozen=True, slots=True)
class RemoveFile(Write[list[ActiveFile]]):
    path: str


@dataclass(frozen=True, slots=True)
class IndexFile(Write[dict[str, dict[str, Any]]]):
    path: str
    metadata: dict[str, Any]
    write_key: str


@dataclass(frozen=True, slots=True)
class ReadWorkspace(Request[str]):
    pass


@dataclass(frozen=True, slots=True)
class ReadKnownFiles(Request[frozenset[str]]):
    """The paths that are followed whatever they are: of active files, and in the index."""


@dataclass(frozen=True, slots=True)
class RefreshFiles(Request[Refresh]):
    """Somebody has looked at the workspace. What has become of the index."""

    look: Look


@dataclass(frozen=True, slots=True)
class PutWorking(Write[None]):
    key: str
    value: Any
    write_key: str


@dataclass(frozen=True, slots=True)
class DeleteWorking(Write[None]):
    key: str


@dataclass(frozen=True, slots=True)
class Again(Write[Any]):
    """A dead letter's request, once more: this time it is not refused because of its letter."""

    letter_id: str
    crashes: int
    request: Any


@dataclass(frozen=True, slots=True)
class PutAside(Write[str | None]):
    """A request becomes a dead letter: its id. None when it had taken effect before it crashed."""

    letter: dict[str, Any]
    key: str


@dataclass(frozen=True, slots=True)
class RemoveLetter(Write[None]):
    letter_id: str
    why: str
    key: str


# --- to the context manager: life ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BeginEnding(Request[None]):
    """The session is terminating. Nothing more is taken."""

    reason: str
    purge: bool = False


@dataclass(frozen=True, slots=True)
class Suspend(Request[bool]):
    """False when it is not idle any more, and nobody asked for it."""

    is_automatic: bool = False


@dataclass(frozen=True, slots=True)
class Wake(Request[None]):
    """Out of idle, or out of a halt."""

    by: str | None = None


@dataclass(frozen=True, slots=True)
class Halt(Request[bool]):
    """False when the line is stopped already."""

    reason: str
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Decide(Request[None]):
    """What a person decides about a session that waits."""

    decision: str
    note: str | None
    by: str | None
    key: str


@dataclass(frozen=True, slots=True)
class TakeInput(Request[None]):
    text: str
    key: str


@dataclass(frozen=True, slots=True)
class OrchestratorBack(Request["Prompt | None"]):
    """The orchestrator has a new incarnation: a turn of the one before it is over, or is to be gone on with."""

    restarts: int


@dataclass(frozen=True, slots=True)
class ChildBack(Request[None]):
    """A child that keeps nothing of its own has a new incarnation."""

    child: str
    restarts: int


# --- to the context manager: turns --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """What a turn does next: call the model with *context*, or make a summary first, or go on with *calls*.

    With none of them it asks for the next step: a rule is about to stop the line.
    """

    place: Place
    """Where the calls of this round stand, or will."""
    context: Context | None = None
    estimated: int = 0
    """The tokens of its conversation, by the session's counter, not calibrated."""
    factor: float = 1.0
    allowance: Allowance = Allowance()
    plan: SummaryPlan | None = None
    calls: tuple[ToolCall, ...] = ()
    text: str = ""
    """What the model had said before them."""


@dataclass(frozen=True, slots=True)
class StartTurn(Request["Step | Message"]):
    """The first step, or the next one of a turn that is open; the answer of one that is long done.

    Raises LineStopped while the turn has to wait for a person.
    """

    turn_id: str
    content: str
    model: str
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class NextStep(Request[Step]):
    """The calls of a round are done. Raises LineStopped."""

    turn_id: str
    without_summary: bool = False


@dataclass(frozen=True, slots=True)
class AddSummary(Request[Step]):
    """What a model made of the older part; the step after that."""

    turn_id: str
    plan: SummaryPlan
    content: str
    usage: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BeginCall(Request["Begun"]):
    """The next call of a round, and those after it. Raises LineStopped before it has any effect."""

    turn_id: str
    place: Place
    calls: tuple[ToolCall, ...]
    text: str = ""
    usage: dict[str, Any] = field(default_factory=dict[str, Any])
    needs_approval: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """The call is in the journal. `is_over`: it has an end as well, because a person has refused it."""

    info: CallInfo
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class EndCall(Request[None]):
    """What came of a call."""

    turn_id: str
    call_id: str
    end: CallEnd


@dataclass(frozen=True, slots=True)
class AskPerson(Request[int]):
    """The model asks. The line stops; what is decided comes to the orchestrator. Answers after which entry."""

    turn_id: str
    question: Question


@dataclass(frozen=True, slots=True)
class CompleteTurn(Request[Message]):
    turn_id: str
    answer: str
    usage: dict[str, Any]
    measured: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class EndTurn(Request[Message | None]):
    """A turn that did not complete: failed with an error, or cancelled. The answer, if it did after all."""

    turn_id: str
    error: str | None
    reason: str | None = None
    text: str = ""
    """What was said of the answer."""
    usage: dict[str, Any] = field(default_factory=dict[str, Any])
    is_late: bool = False


# --- to the orchestrator ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prompt(Request[Message]):
    turn_id: str
    content: str
    timeout: float | None = None
    feed: Feed | None = None
    is_detached: bool = False
    """Whether whoever asks only wants to know that it has begun."""


@dataclass(frozen=True, slots=True)
class CancelTurn(Request[bool]):
    feed: Feed | None = None
    """Whose turn, where not just any: that of whoever streamed it. It may be under way, or wait."""


@dataclass(frozen=True, slots=True)
class GoOn:
    """A person has decided: the turn that waits goes on, or is cancelled; a model that asks hears what was said.

    The context manager says so when it is in the journal, perhaps more than once: whoever has decided may be gone.
    """

    turn_id: str
    decided: Decided
    cancels: bool = False


# --- to the manager -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateSession(Request[None]):
    session_id: str
    born: Born


@dataclass(frozen=True, slots=True)
class Born:
    """What a new session's first entry says, and the entries it may start with."""

    data: dict[str, Any]
    drafts: tuple[Draft, ...] = ()
    # On the first entry, where somebody else may want the same id: whose it is.
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Activate(Request[None]):
    session_id: str
    resume: bool = False
    # The journal's epoch, where only the first of several who saw it may go on.
    seen_epoch: int | None = None


@dataclass(frozen=True, slots=True)
class TerminateSession(Request[None]):
    session_id: str
    reason: str
    purge: bool


@dataclass(frozen=True, slots=True)
class SuspendSession(Request[None]):
    session_id: str
    is_automatic: bool = False


# --- from the housekeeper to the manager --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FinishTerminations(Request[None]):
    """What ended in the middle of a termination, here or in another process, is terminated."""


@dataclass(frozen=True, slots=True)
class SuspendStale(Request[bool]):
    """False when somebody else has it by now, or it is used again."""

    session_id: str
    seen_epoch: int


@dataclass(frozen=True, slots=True)
class Retire(Request[bool]):
    """Purge what has had its `max_age`. False when somebody else has it by now, or it is used again."""

    session_id: str
    seen_epoch: int
