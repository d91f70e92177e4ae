"""What is broken, and which tests must notice."""

from __future__ import annotations

from typing import NamedTuple

SUPERVISION = "tests/unit/actors/supervision"
ACTORS = "tests/unit/actors"
PRUNING = "tests/unit/core/test_pruning.py"
STORE = "tests/contract/test_store.py"
HUB = "tests/unit/hub"
SESSIONS = "tests/unit/sessions"
STORIES = "tests/stories"
PROOF = "tests/proof"
# On one store and one loop: whether the tests notice does not depend on them, and the others take their time.
CRASH_POINTS = (
    f"{PROOF}/test_every_crash_point.py"
    "::test_nothing_confirmed_is_lost_and_nothing_is_half_done_wherever_the_process_dies[asyncio-memory]"
)
AWAY = f"{STORIES}/test_store_away.py"
RECOVERY = f"{STORIES}/test_recovery.py"
TURNS = f"{STORIES}/test_interrupted_turns.py"
HOUSEKEEPING = f"{STORIES}/test_housekeeping.py"
FILES = "tests/unit/adapters/test_session_files.py"
DOCUMENTS = "tests/unit/core/test_documents.py"
SHARING = "tests/unit/adapters/postgres/test_sharing.py"
POSTGRES_AWAY = "tests/unit/adapters/postgres/test_away.py"
DEFECTS = "tests/stories/test_seed_defects.py"
KEYS = "tests/doors/test_encrypted.py"
BREAKER = "tests/unit/core/test_breaker.py"
PROVIDERS = "tests/unit/adapters/test_provider_models.py"
PROVIDER_TURNS = "tests/stories/test_provider_turns.py"
PROVIDER_TOOLS = "tests/unit/adapters/test_provider_tools.py"
TOOLBOX = "tests/unit/adapters/test_toolbox.py"
PROCESSES = "tests/unit/adapters/test_tool_processes.py"
CHAT = "tests/unit/cli/test_conversation.py"
CYCLES = f"{STORIES}/test_cycles.py"
CYCLES_RESTART = f"{STORIES}/test_cycles_restart.py"
BENEATH = "tests/unit/adapters/test_beneath.py"
WORKSPACES = "tests/unit/adapters/test_workspaces.py"
WORKSPACE_STORIES = "tests/stories/test_workspaces.py"
INDEX = "tests/unit/core/test_workspaces.py"
AGENT_TURNS = "tests/stories/test_agent_turns.py"
AGENT_PROCESS = "tests/unit/adapters/test_agent_process.py"
AGENTS = "tests/unit/core/test_agents.py"
ACP = "tests/unit/core/test_acp.py"
TOOL_TURNS = f"{STORIES}/test_tool_turns.py"
RULES_IN_TURNS = f"{STORIES}/test_rules_in_turns.py"
WAITING = f"{STORIES}/test_waiting_prompts.py"
CRASH_POINTS = f"{PROOF}/test_every_crash_point.py"


class Sabotage(NamedTuple):
    """*text* in *file* is replaced by *broken*; one of *tests* must fail."""

    name: str
    file: str
    text: str
    broken: str
    tests: tuple[str, ...]


SABOTAGES = (
    Sabotage(
        "exceed a budget by one message",
        "jidoka/core/tally.py",
        "            if cost <= left:",
        "            if left > 0:",
        (PRUNING,),
    ),
    Sabotage(
        "cut a call from its result",
        "jidoka/core/choice.py",
        "        if first < start < self.start:",
        "        if False:",
        (PRUNING,),
    ),
    Sabotage(
        "begin with an answer",
        "jidoka/core/choice.py",
        "            self._begin_window_with_a_question()",
        "            pass",
        (PRUNING,),
    ),
    Sabotage(
        "forget what is critical",
        "jidoka/core/choice.py",
        "for places in (timeline.pinned, timeline.critical(keywords)):",
        "for places in (timeline.pinned,):",
        (PRUNING,),
    ),
    Sabotage(
        "stop the line one failure too late",
        "jidoka/core/rules.py",
        "        if failures[call.what] >= rules.same_call_failures:",
        "        if failures[call.what] > rules.same_call_failures:",
        ("tests/unit/core/test_rules.py",),
    ),
    Sabotage(
        "skip a restart",
        "jidoka/actors/restarts.py",
        'if restart == "permanent" or not reason.is_clean:',
        'if restart == "permanent" and reason.is_clean:',
        (SUPERVISION,),
    ),
    Sabotage(
        "stop in forward order",
        "jidoka/actors/plan.py",
        "self._stop(self.stops.pop(), self._stopped)",
        "self._stop(self.stops.pop(0), self._stopped)",
        (SUPERVISION,),
    ),
    Sabotage(
        "drop a reply",
        "jidoka/actors/handling.py",
        "                if not slot.done():\n                    slot.set_result(answer)",
        "                if not slot.done() and False:\n                    slot.set_result(answer)",
        (ACTORS,),
    ),
    Sabotage(
        "leave waiting callers without an answer when their actor crashes",
        "jidoka/actors/cell.py",
        "        waiting, self._owed = self._owed, None\n        if waiting:",
        "        waiting, self._owed = self._owed, None\n        if waiting and False:",
        (ACTORS,),
    ),
    Sabotage(
        "share a budget",
        "jidoka/actors/restarting.py",
        'if self.policy.budget == "child" and not self.policy.otp_strict:',
        "if False:",
        (SUPERVISION, STORIES),
    ),
    Sabotage(
        "retry without backoff",
        "jidoka/actors/restarts.py",
        "        if failures <= 0:\n            return 0.0",
        "        if failures >= 0:\n            return 0.0",
        (SUPERVISION,),
    ),
    Sabotage(
        "count a window inexactly",
        "jidoka/actors/restarts.py",
        "while now - spent[0] > self.within:",
        "while now - spent[0] >= self.within:",
        (SUPERVISION,),
    ),
    Sabotage(
        "lose the census",
        "jidoka/actors/cell.py",
        "            self.system.cells -= 1",
        "            self.system.cells -= 0",
        (ACTORS, STORIES),
    ),
    Sabotage(
        "forget the timers of answered calls",
        "jidoka/actors/ref.py",
        "                timers.cancel(timer)",
        "                pass",
        (ACTORS,),
    ),
    Sabotage(
        "let the abandoned go on talking",
        "jidoka/actors/ref.py",
        "    if cell.actor is not actor:",
        "    if False:",
        (ACTORS,),
    ),
    Sabotage(
        "publish before commit",
        "jidoka/sessions/context_manager.py",
        "        try:\n            await house.store.append(",
        "        house.hub.publish(self.setup.session_id, entries)\n"
        "        try:\n            await house.store.append(",
        (SESSIONS,),
    ),
    Sabotage(
        "come back without the history",
        "jidoka/sessions/context_recovery.py",
        "        entries = await store.read(session_id)\n",
        "        entries = []\n",
        (SESSIONS, STORIES),
    ),
    Sabotage(
        "serve a stale writer",
        "jidoka/adapters/memory.py",
        "entry.seq != seq or entry.epoch != epoch or",
        "entry.seq != seq or",
        (STORE,),
    ),
    Sabotage(
        "commit a key twice",
        "jidoka/adapters/memory.py",
        "(entry.key is not None and keys and entry.key in keys)",
        "False",
        (STORE,),
    ),
    Sabotage(
        "drop events silently",
        "jidoka/hub/feeds.py",
        "                self.lose(event)",
        "                pass",
        (HUB,),
    ),
    Sabotage(
        "end a session twice",
        "jidoka/sessions/keeper.py",
        '    drafts.append((EventType.SESSION_TERMINATED, {"reason": reason}))',
        '    drafts += [(EventType.SESSION_TERMINATED, {"reason": reason})] * 2',
        (STORIES,),
    ),
    Sabotage(
        "start sessions without limit",
        "jidoka/sessions/manager.py",
        "        if running >= self.house.max_sessions:",
        "        if running > self.house.max_sessions:",
        (STORIES,),
    ),
    Sabotage(
        "go on from a guess after an unknown outcome",
        "jidoka/sessions/context_manager.py",
        "            self._is_in_doubt = True\n            raise",
        "            raise",
        (AWAY,),
    ),
    Sabotage(
        "miss what was committed in doubt",
        "jidoka/sessions/context_recovery.py",
        "self.apply(await self.setup.house.store.read(",
        "list(await self.setup.house.store.read(",
        (AWAY,),
    ),
    Sabotage(
        "forget what could not be written",
        "jidoka/sessions/context_recovery.py",
        "                self.setup.owed = [*(self.setup.owed or ()), message]",
        "                pass",
        (AWAY,),
    ),
    Sabotage(
        "die of a store that is away",
        "jidoka/sessions/context_recovery.py",
        "            if is_wanted:\n",
        "            if True:\n",
        (AWAY,),
    ),
    Sabotage(
        "leave an interrupted turn open",
        "jidoka/sessions/context_recovery.py",
        "        if self.state.turn is not None and not self.restarts:",
        "        if False and self.state.turn is not None:",
        (TURNS,),
    ),
    Sabotage(
        "run a turn again for ever",
        "jidoka/sessions/context_turns.py",
        " and turn.attempt < MOST_ATTEMPTS:",
        ":",
        (TURNS,),
    ),
    Sabotage(
        "leave the open turn to the next process",
        "jidoka/sessions/context_manager.py",
        "            if is_closing and self._leaves_a_turn:",
        "            if False:",
        (TURNS,),
    ),
    Sabotage(
        "forget that a session was to be purged",
        "jidoka/sessions/manager.py",
        'bool(entries and entries[-1].data.get("purge"))',
        "False",
        (RECOVERY,),
    ),
    Sabotage(
        "tidy up without claiming",
        "jidoka/sessions/keeper.py",
        "claim(session_id, expected_epoch=seen_epoch)",
        "claim(session_id)",
        (HOUSEKEEPING,),
    ),
    Sabotage(
        "suspend what its owner has used",
        "jidoka/sessions/keeper.py",
        "    if not is_stale(",
        "    if False and not is_stale(",
        (HOUSEKEEPING,),
    ),
    Sabotage(
        "purge without a last word",
        "jidoka/sessions/keeper.py",
        '        await _terminate(house, head, "max_age")',
        "        pass",
        (HOUSEKEEPING,),
    ),
    Sabotage(
        "tidy up without a bound",
        "jidoka/sessions/housekeeper.py",
        "range(MOST // PAGE)",
        "range(10 * MOST)",
        (HOUSEKEEPING,),
    ),
    Sabotage(
        "let one session end the round",
        "jidoka/sessions/housekeeper.py",
        "isinstance(error, StoreUnavailable)",
        "isinstance(error, JidokaError)",
        (HOUSEKEEPING,),
    ),
    Sabotage(
        "warn again and again",
        "jidoka/sessions/context_clock.py",
        "return self._warned == self._touched",
        "return False",
        (f"{STORIES}/test_clock.py",),
    ),
    Sabotage(
        "forget the default age",
        "jidoka/births.py",
        "    if max_age is None or",
        "    if max_age or",
        (HOUSEKEEPING,),
    ),
    Sabotage(
        "list everybody's sessions",
        "jidoka/adapters/memory.py",
        "self._owned_by(owner, after or 0) if owner is not None else",
        "self._owned_by(owner or '', after or 0) if False else",
        (DEFECTS,),
    ),
    Sabotage(
        "believe a document without looking at its seal",
        "jidoka/core/seals.py",
        "    if not is_whole:",
        "    if not is_whole and False:",
        (DOCUMENTS, FILES),
    ),
    Sabotage(
        "take a damaged session for a new one",
        "jidoka/adapters/session_files.py",
        "        _ask_the_quarantine(folder, session_id)\n",
        "",
        (FILES,),
    ),
    Sabotage(
        "save over a damaged session without a word",
        "jidoka/adapters/session_files.py",
        "if not replace_damaged or folder.has(session_id + ENDING):",
        "if folder.has(session_id + ENDING):",
        (FILES,),
    ),
    Sabotage(
        "write a file in its place",
        "jidoka/adapters/safe_directory.py",
        'draft = f".{name}.tmp"',
        "draft = name",
        (FILES,),
    ),
    Sabotage(
        "follow a link out of the directory",
        "jidoka/adapters/safe_directory.py",
        "_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW",
        "_READ: Final = os.O_RDONLY | os.O_CLOEXEC",
        (FILES,),
    ),
    Sabotage(
        "let everybody try when a circuit's pause is over",
        "jidoka/core/breaker.py",
        "if left > 0 or self._probe is not None:",
        "if left > 0:",
        (BREAKER,),
    ),
    Sabotage(
        "count what was called off as a failure of the provider",
        "jidoka/core/breaker.py",
        "if is_well is None or (",
        "if (",
        (BREAKER,),
    ),
    Sabotage(
        "ask again for an answer that has begun",
        "jidoka/adapters/answers.py",
        "            event = await self._next()\n",
        "            event = await self._next() if self._length else await self._first(ask)\n",
        (PROVIDERS,),
    ),
    Sabotage(
        "take whatever comes in one piece",
        "jidoka/adapters/provider_http.py",
        "if length > self._most:",
        "if length > self._most and False:",
        (PROVIDERS,),
    ),
    Sabotage(
        "take an answer that broke off for a complete one",
        "jidoka/adapters/answers.py",
        "        case None:\n",
        '        case "never":\n',
        (PROVIDERS,),
    ),
    Sabotage(
        "send the environment's headers to any address",
        "jidoka/adapters/provider_http.py",
        "if name.lower() not in _SENT]",
        "if not name]",
        (PROVIDERS,),
    ),
    Sabotage(
        "repeat what a provider calls the error, even if it is the key",
        "jidoka/adapters/provider_failures.py",
        " and not (key and (key in code or code in key))",
        "",
        (PROVIDER_TURNS,),
    ),
    Sabotage(
        "leave the provider's own error in the context of ours",
        "jidoka/adapters/answers.py",
        "        except Exception as error:\n            failure =",
        "        except Exception as error:\n"
        "            raise failure_of(error, has_begun=True) from error\n"
        "            failure =",
        (PROVIDER_TURNS,),
    ),
    Sabotage(
        "let libraries log what the server said",
        "jidoka/adapters/redaction.py",
        "                logger.addFilter(self)\n",
        "                pass\n",
        (PROVIDER_TURNS,),
    ),
    Sabotage(
        "keep a key in a session's config",
        "jidoka/adapters/model_names.py",
        "        refuse_keys(llm_config)\n",
        "",
        (PROVIDER_TURNS,),
    ),
    Sabotage(
        "blame a kill on the message in hand",
        "jidoka/sessions/poison.py",
        'error.reason.kind == "crash"',
        'error.reason.kind != "normal"',
        (f"{STORIES}/test_i18_poison.py",),
    ),
    Sabotage(
        "repeat what crashes for ever",
        "jidoka/sessions/door.py",
        "self.house.crashes.one_more(session_id, key) >= most",
        "self.house.crashes.one_more(session_id, key) > 1_000",
        (f"{STORIES}/test_i18_poison.py",),
    ),
    Sabotage(
        "lose the commands that wait behind a crash",
        "jidoka/sessions/requests.py",
        "    durable: ClassVar[bool] = True",
        "    durable: ClassVar[bool] = False",
        (f"{STORIES}/test_s35_durable_mailbox.py",),
    ),
    Sabotage(
        "let a subscriber keep what it likes",
        "jidoka/hub/feeds.py",
        "self._bytes + weight <= MAX_BYTES",
        "self._bytes >= 0",
        (HUB,),
    ),
    Sabotage(
        "confirm what is not on the disk yet",
        "jidoka/adapters/sqlite_file.py",
        'connection.pragma("synchronous", synchronous)',
        'connection.pragma("synchronous", "off")',
        (f"{PROOF}/test_power_cuts.py",),
    ),
    Sabotage(
        "confirm before the commit",
        "jidoka/adapters/sqlite_write.py",
        '            batch.store(connection)\n            connection.execute("commit")',
        "            batch.store(connection)\n"
        '            connection.execute("rollback" if self._next_arrival > 3 and len(jobs) == 1 else "commit")',
        (f"{PROOF}/test_killed_processes.py",),
    ),
    Sabotage(
        "do not look where the journal stands",
        "jidoka/core/admission.py",
        "    if expected_seq != head.seq:",
        "    if False:",
        (STORE, f"{STORIES}/test_two_owners.py"),
    ),
    Sabotage(
        "let an older owner write",
        "jidoka/core/admission.py",
        "        if entry.epoch != head.epoch:",
        "        if False:",
        (STORE, f"{PROOF}/test_deleted_stays_deleted.py"),
    ),
    Sabotage(
        "do not look whether the key is there",
        "jidoka/core/admission.py",
        "if entry.key is not None and (found := find(entry.key)) is not None:",
        "if False and (found := find(entry.key or '')):",
        (f"{PROOF}/test_keys.py", f"{PROOF}/test_unknown_outcomes.py"),
    ),
    Sabotage(
        "bring back what was purged",
        "jidoka/core/admission.py",
        "    if expected_seq:\n        return SessionNotFound",
        "    if expected_seq and tombstone is None:\n        return SessionNotFound",
        (STORE, f"{PROOF}/test_deleted_stays_deleted.py"),
    ),
    Sabotage(
        "serve entries whose checksum is wrong",
        "jidoka/core/chains.py",
        '            raise broken(session_id, seq, seq, "its checksum is wrong")',
        "            pass",
        ("tests/unit/adapters/test_sqlite_damage.py", f"{PROOF}/test_flipped_bits.py"),
    ),
    Sabotage(
        "forget what the end of the log was",
        "jidoka/adapters/sqlite_write.py",
        "                self._compare_with_the_tail()",
        "                pass",
        (f"{PROOF}/test_flipped_bits.py", "tests/unit/adapters/test_sqlite_damage.py"),
    ),
    Sabotage(
        "suspend without saying so",
        "jidoka/sessions/context_writes.py",
        "[self.status_draft(SessionStatus.SUSPENDED), (EventType.SESSION_SUSPENDED, {})]",
        "[(EventType.SESSION_SUSPENDED, {})]",
        (CRASH_POINTS,),
    ),
    Sabotage(
        "leave the turn of a dead process open",
        "jidoka/sessions/context_recovery.py",
        "        if self.state.turn is not None and not self.restarts:",
        "        if False and self.state.turn is not None:",
        (CRASH_POINTS,),
    ),
    Sabotage(
        "commit the question before the answer",
        "jidoka/sessions/context_turns.py",
        "        drafts = [self._said(*said, turn_id=turn_id) for said in turn.said()]\n",
        "        drafts = list[Draft]()\n",
        (f"{STORIES}/test_tool_turns.py",),
    ),
    Sabotage(
        "leave the tools of a dead process without a result",
        "jidoka/core/wellformed.py",
        "for turn_id, call_id in map(_call_of, unanswered(entries))",
        "for turn_id, call_id in map(_call_of, [])",
        (f"{STORIES}/test_interrupted_tools.py",),
    ),
    Sabotage(
        "forget the callers of an actor that could not start again",
        "jidoka/actors/cell.py",
        "        owed: list[mailbox.Envelope] = list(self._owed or ())",
        "        owed: list[mailbox.Envelope] = []",
        (ACTORS,),
    ),
    Sabotage(
        "let the dead go on writing",
        "jidoka/testing/faulty_store.py",
        "        if self.is_stopped:\n            raise",
        "        if False:\n            raise",
        ("tests/unit/testing",),
    ),
    Sabotage(
        "let an older writer write to PostgreSQL",
        "jidoka/adapters/postgres_statements.py",
        " and s.epoch = g.epoch_before",
        "",
        (f"{SHARING}::test_a_writer_that_another_store_has_fenced_is_refused",),
    ),
    Sabotage(
        "commit a key twice to PostgreSQL",
        "jidoka/adapters/postgres_statements.py",
        " and s.arrival not in (select arrival from taken)",
        "",
        (f"{STORE}::TestEveryStore::test_a_key_that_is_there_is_answered_with_its_entry",),
    ),
    Sabotage(
        "refuse because of what is remembered",
        "jidoka/adapters/postgres_write.py",
        "if job.work.session_id in seen:",
        "if job is not None:",
        (f"{SHARING}::test_what_another_store_has_written_is_followed_on",),
    ),
    Sabotage(
        "wait for a silent server",
        "jidoka/adapters/postgres_link.py",
        "            _shut_down(self._connection)\n",
        "",
        (f"{POSTGRES_AWAY}::test_a_server_that_is_away_is_told_in_time_and_found_again",),
    ),
    Sabotage(
        "leave keys wrapped as they were",
        "jidoka/adapters/sqlite_rotate.py",
        "        if wrapped is not None and not wrapped.startswith(keyring.mark):",
        "        if False:",
        (f"{KEYS}::test_after_a_rotation_the_old_key_can_be_taken_away",),
    ),
    Sabotage(
        "end a rotation after its first page",
        "jidoka/cli/stores.py",
        "            while after is not None:\n                after = await keys.rotate(",
        "            for after in (0,):\n                after = await keys.rotate(",
        (f"{KEYS}::test_a_rotation_that_was_stopped_is_run_again",),
    ),
    Sabotage(
        "back up in the clear what is encrypted",
        "jidoka/adapters/backups.py",
        "Path(place), keyring_of(source).anew(), progress)",
        "Path(place), keyring_of(None), progress)",
        ("tests/unit/adapters/postgres/test_keys.py::test_a_backup_is_encrypted_with_the_same_master_keys",),
    ),
    Sabotage(
        "share a keyring between two stores",
        "jidoka/adapters/encryption.py",
        "        return MasterKeys(list(self._keys.values()))",
        "        return self",
        ("tests/unit/adapters/postgres/test_keys.py::test_a_backup_is_encrypted_with_the_same_master_keys",),
    ),
    Sabotage(
        "restore in the clear what is encrypted",
        "jidoka/adapters/backups.py",
        "    if is_encrypted(backup) and not is_encrypted(target):",
        "    if False:",
        ("tests/unit/adapters/test_copying.py",),
    ),
    Sabotage(
        "kill a tool's process and leave what it has started",
        "jidoka/adapters/tool_processes.py",
        "            os.killpg(child.pid, signal.SIGKILL)",
        "            os.kill(child.pid, signal.SIGKILL)",
        (f"{PROCESSES}::test_what_a_call_leaves_running_is_killed_when_it_ends",),
    ),
    Sabotage(
        "forget threads that hang",
        "jidoka/adapters/tool_threads.py",
        "                self.abandoned[name] += 1",
        "                pass",
        (TOOLBOX,),
    ),
    Sabotage(
        "take a cancellation of a tool's own for ours",
        "jidoka/adapters/toolbox.py",
        "            if self._box.backend.is_being_cancelled():",
        "            if True:",
        (TOOLBOX,),
    ),
    Sabotage(
        "take arguments that a tool does not have",
        "jidoka/core/signatures.py",
        'ConfigDict(extra="forbid", hide',
        'ConfigDict(extra="ignore", hide',
        ("tests/unit/core/test_signatures.py",),
    ),
    Sabotage(
        "let a tool say as much as it likes",
        "jidoka/core/tool_results.py",
        "        if len(data) > most:",
        "        if False:",
        ("tests/unit/core/test_tool_results.py",),
    ),
    Sabotage(
        "let a session choose a tool that there is not",
        "jidoka/client.py",
        "        self.house.tools.chosen(llm_config)",
        "        pass",
        (f"{STORIES}/test_tools.py",),
    ),
    Sabotage(
        "give two calls of a conversation one id",
        "jidoka/adapters/answers.py",
        " if each not in self._ids)",
        ")",
        (PROVIDER_TOOLS,),
    ),
    Sabotage(
        "let a model move the cursor",
        "jidoka/cli/screen.py",
        "    if text.isprintable():",
        "    if text:",
        ("tests/unit/cli/test_voice.py",),
    ),
    Sabotage(
        "end the chat with the first Ctrl-C",
        "jidoka/cli/conversation.py",
        "        if self._turn is None or not self._turn.interrupt():",
        "        if self._turn is not None:",
        (CHAT,),
    ),
    Sabotage(
        "reject by leaving",
        "jidoka/cli/shown_turn.py",
        "                    stream.detach()",
        "                    pass",
        (CHAT,),
    ),
    Sabotage(
        "take what was typed before for a decision",
        "jidoka/cli/conversation.py",
        "        self.halt = halt\n        self._ahead.clear()",
        "        self.halt = halt",
        (CHAT,),
    ),
    Sabotage(
        "ask a cycle anew after a restart",
        "jidoka/cycles/monitor.py",
        'key = f"{self.session.id}:cycle:{opened.number}"',
        'key = f"{self.session.id}:cycle:{opened.number}:{self._world.new_id()}"',
        (f"{CYCLES_RESTART}::test_wherever_a_process_dies_no_cycle_is_run_twice_or_lost",),
    ),
    Sabotage(
        "take what is unknown for an answer",
        "jidoka/cycles/outcome.py",
        'return "unknown", unknown_text(',
        'return "answered", unknown_text(',
        (CYCLES,),
    ),
    Sabotage(
        "begin a cycle that another monitor has begun",
        "jidoka/cycles/book.py",
        "metadata=patch_of(ledger), expected_version=self._version)",
        "metadata=patch_of(ledger))",
        (CYCLES,),
    ),
    Sabotage(
        "ask again what a person has called off before a crash",
        "jidoka/cycles/asking.py",
        "if before is not None and before.type != EventType.TURN_COMPLETED:",
        "if False:",
        (CYCLES_RESTART,),
    ),
    Sabotage(
        "forget a rejection that no monitor was there to hear",
        "jidoka/cycles/asking.py",
        "        if before is None and REJECTED in ended:",
        "        if False:",
        (CYCLES_RESTART,),
    ),
    Sabotage(
        "go on while the line is stopped",
        "jidoka/cycles/asking.py",
        "        if not await self._is_halted():\n            return False",
        "        if True:\n            return False",
        (CYCLES,),
    ),
    Sabotage(
        "follow a link on the way to a file",
        "jidoka/adapters/beneath.py",
        "_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW",
        "_READ: Final = os.O_RDONLY | os.O_CLOEXEC",
        (BENEATH,),
    ),
    Sabotage(
        "let a sibling whose name begins alike be a workspace",
        "jidoka/core/workspaces.py",
        "and directory.is_relative_to(allowed)",
        "and str(directory).startswith(str(allowed))",
        (WORKSPACES,),
    ),
    Sabotage(
        "take a file for the one that was read because it is as old and as large",
        "jidoka/adapters/beneath.py",
        "return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns",
        "return 0, 0, found.st_size, found.st_mtime_ns, 0",
        (BENEATH, WORKSPACE_STORIES),
    ),
    Sabotage(
        "write about a file that never rests once a second",
        "jidoka/sessions/files.py",
        "pause = SHORTEST if is_quiet else min(2 * pause, LONGEST)",
        "pause = SHORTEST",
        (WORKSPACE_STORIES,),
    ),
    Sabotage(
        "let a change of files keep a session from being suspended",
        "jidoka/sessions/context_manager.py",
        "ask.ReadKnownFiles, ask.RefreshFiles, ask.ChildBack}",
        "ask.ChildBack}",
        (WORKSPACE_STORIES,),
    ),
    Sabotage(
        "forget what happened before a new directory was listened to",
        "jidoka/adapters/workspaces.py",
        "            seen = await self._house.within(self._root, _scan)\n        else:",
        "            pass\n        else:",
        (WORKSPACES,),
    ),
    Sabotage(
        "say nothing of files that went while the session was suspended",
        "jidoka/core/workspaces.py",
        "    gone = [path for path in look.gone if path in index]",
        "    gone: list[str] = []",
        (INDEX, WORKSPACE_STORIES),
    ),
    Sabotage(
        "leave an agent's runaway children alone",
        "jidoka/adapters/agent_guard.py",
        "    _prctl(_PR_SET_CHILD_SUBREAPER, 1)\n",
        "",
        (f"{AGENT_TURNS}::test_grandchildren_end_too_also_those_that_left_the_group",),
    ),
    Sabotage(
        "let an agent live on when its guard is killed",
        "jidoka/adapters/agent_process.py",
        "        self._signal(signal.SIGKILL)\n        await",
        "        await",
        (AGENT_PROCESS,),
    ),
    Sabotage(
        "give an agent the whole environment",
        "jidoka/core/agents.py",
        "for name in (*INHERITED, *self.pass_env) if name in ours",
        "for name in ours",
        (AGENTS,),
    ),
    Sabotage(
        "quote an agent's key in an error",
        "jidoka/adapters/agent_process.py",
        "REDACTION.without_keys(without_secrets(text, self._secrets))",
        "text",
        (AGENT_PROCESS,),
    ),
    Sabotage(
        "leave an agent's tool call without a result",
        "jidoka/core/acp.py",
        "        for id, name in list(self._open.items()):",
        "        for id, name in ():",
        (ACP,),
    ),
    Sabotage(
        "allow for ever what was allowed once",
        "jidoka/core/acp.py",
        '("allow_once", "allow_always") if',
        '("allow_always", "allow_once") if',
        (ACP,),
    ),
    Sabotage(
        "let a cancelled turn's agent go on",
        "jidoka/sessions/agents.py",
        "        if self._link is not None and not is_done:",
        "        if False:",
        (f"{AGENT_TURNS}::test_a_turn_that_is_cancelled_leaves_no_process_at_work",),
    ),
    Sabotage(
        "take an agent's death for its end",
        "jidoka/adapters/agent_link.py",
        "        if self.is_ready and not self.is_over and self.is_a_crash():",
        "        if False:",
        (f"{AGENT_TURNS}::test_a_process_that_is_killed_in_the_middle_fails_its_turn_and_nothing_else",),
    ),
    Sabotage(
        "run a tool before its call is in the journal",
        "jidoka/sessions/turn_run.py",
        "            begun: ask.Begun = await self._until_decided(begin)\n",
        """
            if tool is not None:
                from jidoka.core.tools import CallInfo

                await tool.run(calls[0].arguments, CallInfo(self._setup.session_id, turn_id, calls[0].id, "early"))
            begun: ask.Begun = await self._until_decided(begin)
""",
        (f"{RULES_IN_TURNS}::test_a_tool_that_needs_approval_does_nothing_before_it_has_it",),
    ),
    Sabotage(
        "forget that a person has approved a call",
        "jidoka/core/turns.py",
        "return replace(self, approved_calls=self.approved_calls | {call_id})",
        "return self",
        ("tests/unit/core/test_turns.py",),
    ),
    Sabotage(
        "go on with a turn that a person has rejected",
        "jidoka/sessions/context_turns.py",
        "        if turn.is_called_off:",
        "        if False:",
        (f"{RULES_IN_TURNS}::test_a_turn_that_a_person_has_rejected_is_not_gone_on_with",),
    ),
    Sabotage(
        "write a call's result twice",
        "jidoka/sessions/context_tools.py",
        "        if not any(call.id == message.call_id and call.outcome is None for call in turn.calls):\n",
        "        if not turn.calls:\n",
        (f"{TOOL_TURNS}::test_a_record_of_which_nobody_hears_that_it_was_made_is_not_made_again",),
    ),
    Sabotage(
        "record a call twice",
        "jidoka/sessions/context_tools.py",
        "        if begun is not None:\n",
        "        if False:\n",
        (f"{TOOL_TURNS}::test_a_record_of_which_nobody_hears_that_it_was_made_is_not_made_again",),
    ),
    Sabotage(
        "leave the call of a cancelled turn without a result",
        "jidoka/core/turns.py",
        "            if call.outcome is None:\n                yield",
        "            if False:\n                yield",
        (f"{TOOL_TURNS}::test_a_call_that_is_cancelled_has_a_result_and_the_history_none",),
    ),
    Sabotage(
        "take a repeated call for a new one",
        "jidoka/core/turns.py",
        'return f"{digest}-{done + 1}", is_open',
        'return f"{digest}-{done + 1}", False',
        (f"{TOOL_TURNS}::test_a_turn_that_goes_on_after_a_crash_tells_its_tools_that_they_may_have_run",),
    ),
    Sabotage(
        "give a call a new key each time",
        "jidoka/core/turns.py",
        "                done += not is_open",
        "                done += 1",
        (f"{TOOL_TURNS}::test_a_turn_that_goes_on_after_a_crash_tells_its_tools_that_they_may_have_run",),
    ),
    Sabotage(
        "go on though the line is stopped",
        "jidoka/sessions/context_turns.py",
        "            return self._answer_of(turn_id)\n"
        "        if self.state.status is SessionStatus.WAITING_INPUT:\n            raise LineStopped\n",
        "            return self._answer_of(turn_id)\n",
        (f"{STORIES}/test_halting.py",),
    ),
    Sabotage(
        "overspend a budget",
        "jidoka/sessions/turn_run.py",
        "                self._check(step.allowance, said.used())\n",
        "                pass\n",
        (f"{STORIES}/test_turn_options.py",),
    ),
    Sabotage(
        "drop the queue when the orchestrator is killed",
        "jidoka/sessions/orchestrator.py",
        "        for waiting in (self._early, self._waiting):\n",
        "        for waiting in (self._early,):\n",
        (f"{WAITING}::test_what_waits_is_asked_again_when_the_orchestrator_is_killed",),
    ),
    Sabotage(
        "let whoever comes first end the turn that goes on",
        "jidoka/sessions/orchestrator.py",
        "        if self._early is None:\n",
        "        if True:\n",
        (WAITING,),
    ),
    Sabotage(
        "begin a stream that was left while it waited",
        "jidoka/sessions/orchestrator.py",
        "                del waiting[place]\n",
        "",
        (f"{WAITING}::test_a_stream_that_is_left_while_it_waits_is_never_begun",),
    ),
    Sabotage(
        "let a turn end with the client that streamed it, and go on alone",
        "jidoka/sessions/door.py",
        "                    ref.tell(ask.CancelTurn(feed))",
        "                    pass",
        (f"{WAITING}::test_a_stream_that_was_left_before_it_was_let_in_does_not_go_on",),
    ),
    Sabotage(
        "bring a session up beside itself",
        "jidoka/sessions/manager.py",
        "            await self._until(self.root.when_started, session_id)",
        "            pass",
        (f"{STORIES}/test_manager_killed.py::test_a_session_that_is_coming_up_while_the_manager_dies_comes_up_once",),
    ),
    Sabotage(
        "leave those waiting who wait for a session that is taken down",
        "jidoka/sessions/root.py",
        "        child.settle()",
        "        pass",
        (f"{STORIES}/test_terminating.py::test_whoever_waits_for_a_session_to_come_back_hears_that_it_has_ended",),
    ),
    Sabotage(
        "end whoever has the id by now",
        "jidoka/sessions/manager.py",
        "if head is None or head.status is not SessionStatus.TERMINATING:",
        "if head is None:",
        (f"{STORIES}/test_terminating.py",),
    ),
    Sabotage(
        "keep the mail of a child whose turn never comes",
        "jidoka/actors/supervisor.py",
        "            if not child.is_alive:\n                # Also",
        "            if child.is_waiting:\n                # Also",
        (f"{SUPERVISION}/test_starting.py::test_whoever_calls_a_child_whose_turn_never_comes_is_answered",),
    ),
    Sabotage(
        "say again and again that a session goes idle",
        "jidoka/sessions/context_clock.py",
        "                self._resting = self._touched",
        "                pass",
        (f"{STORIES}/test_clock.py",),
    ),
    Sabotage(
        "give the calls of two sessions one key",
        "jidoka/core/turns.py",
        'sha256("\\0".join((session_id, self.id, *what)).encode())',
        'sha256("\\0".join((self.id, *what)).encode())',
        (f"{TOOL_TURNS}::test_two_sessions_have_no_key_in_common_though_their_callers_have",),
    ),
    Sabotage(
        "tell nobody what a person has decided before a crash",
        "jidoka/sessions/context_recovery.py",
        "            self.tell_decided()",
        "            pass",
        (f"{RULES_IN_TURNS}::test_what_a_person_has_decided_counts_though_nobody_was_told_that_it_was_written",),
    ),
)
