%% The same works for Erlang/OTP: gen_servers under supervisors.
%%   erlc otp.erl && erl -noinput -s otp main -extra WORK name=size ... -- name=size ...
%% Warms up with the first sizes, measures with the second, and prints one line of JSON.
-module(otp).
%% A callback module of both gen_server and supervisor: init/1 tells them apart.
-export([main/0, session/0, server/1]).
-export([init/1, handle_call/3, handle_cast/2]).

-define(TEXT, <<"What a person says to a model, in about as many words as people usually take for it.">>).
-define(SECONDS, 10).
-define(CALLERS, 50).
%% Milliseconds, as in storm.py.
-define(CALL_EVERY, 20).
-define(CRASH_EVERY, 100).

main() ->
    logger:set_primary_config(level, none),
    [Work | Rest] = init:get_plain_arguments(),
    {Warm, [_ | Sizes]} = lists:splitwith(fun(A) -> A =/= "--" end, Rest),
    try
        work(Work, sizes(Warm)),
        erlang:garbage_collect(),
        print(work(Work, sizes(Sizes))),
        halt(0)
    catch _:Why:Stack ->
        io:format("~p ~p~n", [Why, Stack]),
        halt(1)
    end.

sizes(Arguments) ->
    maps:from_list([{list_to_atom(N), list_to_integer(V)}
                    || A <- Arguments, [N, V] <- [string:split(A, "=")]]).

print(Figures) ->
    Pairs = [io_lib:format("\"~s\": ~w", [N, V]) || {N, V} <- Figures],
    io:format("{~s}~n", [lists:join(", ", Pairs)]).

%% --- what is measured with ------------------------------------------------------------------------

now_us() -> erlang:monotonic_time(microsecond).

timed(Fun) ->
    Began = now_us(),
    Fun(),
    max(1, now_us() - Began) / 1.0e6.

%% Fun, Count times in slices, until SECONDS are over: how often, and in how many seconds.
pace(Count, Slice, Fun) -> pace(Count, Slice, Fun, 0, now_us()).

pace(Count, Slice, Fun, Done, Began) ->
    Seconds = (now_us() - Began) / 1.0e6,
    case Done >= Count orelse Seconds > ?SECONDS of
        true -> {Done, max(Seconds, 1.0e-6)};
        false ->
            Size = min(Slice, Count - Done),
            Fun(Size),
            pace(Count, Slice, Fun, Done + Size, Began)
    end.

rate({Done, Seconds}) -> [{rate, Done / Seconds}].

times(0, _) -> ok;
times(N, Fun) -> Fun(), times(N - 1, Fun).

in_ms(Micros) ->
    Sorted = list_to_tuple(lists:sort(Micros)),
    At = fun(Share) -> element(max(1, ceil(Share * tuple_size(Sorted))), Sorted) / 1000 end,
    [{p50, At(0.5)}, {p99, At(0.99)}].

resident() ->
    {ok, Said} = file:read_file("/proc/self/statm"),
    [_, Pages | _] = string:split(Said, " ", all),
    binary_to_integer(Pages) * 4096.

gather(0) -> [];
gather(N) -> receive {result, R} -> [R | gather(N - 1)] end.

%% --- the server: echoes, or keeps a history that survives it in a table ---------------------------------

server(State) -> gen_server:start_link(?MODULE, State, []).

start(State) -> {ok, Pid} = server(State), Pid.

stop(Pid) -> unlink(Pid), gen_server:stop(Pid).

init({supervisor, Flags, Children}) -> {ok, {Flags, Children}};
init({counted, Who}) -> Who ! up, {ok, echo};
init({kept, Table, Id}) ->
    Kept = ets:lookup_element(Table, Id, 2),
    {ok, {Table, Id, Kept}};
init(State) -> {ok, State}.

handle_call({append, Text}, _, {Table, Id, History}) ->
    Entry = {length_hint(History) + 1, user, Text},
    Kept = [Entry | History],
    ets:insert(Table, {Id, Kept}),
    {reply, Entry, {Table, Id, Kept}};
handle_call({last, N}, _, {_, _, History} = State) ->
    {reply, lists:sublist(History, N), State};
handle_call({push, Text}, _, {journal, Table, Seq, History}) ->
    Entry = {Seq + 1, user, Text},
    ets:insert(Table, Entry),
    {reply, Entry, {journal, Table, Seq + 1, [Entry | History]}};
handle_call({last, N}, _, {journal, _, _, History} = State) ->
    {reply, lists:sublist(History, N), State};
handle_call(Message, _, State) -> {reply, Message, State}.

handle_cast(crash, _) -> error(crash);
handle_cast(_, State) -> {noreply, State}.

length_hint([]) -> 0;
length_hint([{Seq, _, _} | _]) -> Seq.

%% --- supervisors -------------------------------------------------------------------------------------------

flags(Strategy) -> #{strategy => Strategy, intensity => 1000000000, period => 1}.

child(Id, State) -> #{id => Id, start => {?MODULE, server, [State]}}.

supervise(Strategy, Children) ->
    {ok, Pid} = supervisor:start_link(?MODULE, {supervisor, flags(Strategy), Children}),
    Pid.

session() ->
    supervisor:start_link(?MODULE, {supervisor, flags(one_for_one),
                                    [child(context_manager, echo), child(orchestrator, echo)]}).

shut(Pid) ->
    unlink(Pid),
    Monitor = monitor(process, Pid),
    exit(Pid, shutdown),
    receive {'DOWN', Monitor, _, _, _} -> ok after 60000 -> error(does_not_stop) end.

pid_of(Supervisor, Id) ->
    {Id, Pid, _, _} = lists:keyfind(Id, 1, supervisor:which_children(Supervisor)),
    Pid.

%% --- works ------------------------------------------------------------------------------------------------

work("calls_one", #{count := Count}) ->
    Pid = start(echo),
    Result = pace(Count, max(1, Count div 20), fun(Size) ->
        times(Size, fun() -> gen_server:call(Pid, 1) end)
    end),
    stop(Pid),
    rate(Result);
work("calls_many", #{actors := Actors, each := Each}) ->
    Pids = [start(echo) || _ <- lists:seq(1, Actors)],
    Me = self(),
    Caller = fun(Pid) ->
        times(Each, fun() -> gen_server:call(Pid, 1) end),
        Me ! {result, ok}
    end,
    Seconds = timed(fun() ->
        [spawn_link(fun() -> Caller(Pid) end) || Pid <- Pids],
        gather(Actors)
    end),
    [stop(Pid) || Pid <- Pids],
    rate({Actors * Each, Seconds});
work("tells", #{count := Count}) ->
    Pid = start(echo),
    Result = pace(Count, 50000, fun(Size) ->
        times(Size, fun() -> gen_server:cast(Pid, 1) end),
        gen_server:call(Pid, 1, infinity)
    end),
    stop(Pid),
    rate(Result);
work("deliveries", #{subscribers := Subscribers, events := Events}) ->
    Pids = [start(echo) || _ <- lists:seq(1, Subscribers)],
    {Done, Seconds} = pace(Events, 100, fun(Size) ->
        times(Size, fun() -> [gen_server:cast(Pid, event) || Pid <- Pids] end),
        [gen_server:call(Pid, 1) || Pid <- Pids]
    end),
    [stop(Pid) || Pid <- Pids],
    rate({Done * Subscribers, Seconds});
work("restarts", #{actors := Actors, rounds := Rounds}) ->
    Pair = [child(context_manager, {counted, self()}), child(orchestrator, {counted, self()})],
    Supervisors = [supervise(one_for_one, Pair) || _ <- lists:seq(1, Actors div 2)],
    ups(2 * length(Supervisors)),
    Total = lists:sum([restart_all(Supervisors) || _ <- lists:seq(1, Rounds)]),
    [shut(Supervisor) || Supervisor <- Supervisors],
    rate({2 * length(Supervisors) * Rounds, Total});
work("sessions", #{sessions := Sessions}) ->
    Template = #{id => session, start => {?MODULE, session, []}, type => supervisor},
    Root = supervise(simple_one_for_one, [Template]),
    Before = resident(),
    {Done, Seconds} = pace(Sessions, max(1, Sessions div 20), fun(Size) ->
        times(Size, fun() -> {ok, _} = supervisor:start_child(Root, []) end)
    end),
    Each = (resident() - Before) / 1024 / Done,
    Stop = timed(fun() -> shut(Root) end),
    [{started, Done / Seconds}, {kib, Each}, {stop, Stop * 100000 / Done}];
work("recovery", #{sessions := Sessions, crashes := Crashes, messages := Messages}) ->
    {Table, All} = kept_sessions(Sessions, Messages),
    Took = [recover(Supervisor, Messages) || _ <- lists:seq(1, Crashes), {_, Supervisor} <- All],
    [shut(Supervisor) || {_, Supervisor} <- All],
    ets:delete(Table),
    in_ms(Took);
work("append", #{messages := Messages}) ->
    Table = ets:new(journal, [public, ordered_set]),
    Pid = start({journal, Table, 0, []}),
    Began = now_us(),
    Took = [took(fun() -> gen_server:call(Pid, {push, ?TEXT}) end) || _ <- lists:seq(1, Messages)],
    Seconds = (now_us() - Began) / 1.0e6,
    stop(Pid),
    ets:delete(Table),
    Tenth = max(1, Messages div 10),
    Last = lists:sum(lists:nthtail(Messages - Tenth, Took)),
    [{rate, Messages / Seconds}, {growth, Last / max(1, lists:sum(lists:sublist(Took, Tenth)))} | in_ms(Took)];
work("history", #{messages := Messages, last := Last, reads := Reads}) ->
    Table = ets:new(journal, [public, ordered_set]),
    Pid = start({journal, Table, 0, []}),
    times(Messages, fun() -> gen_server:call(Pid, {push, ?TEXT}) end),
    Took = [took(fun() -> Last = length(gen_server:call(Pid, {last, Last})) end) || _ <- lists:seq(1, Reads)],
    stop(Pid),
    ets:delete(Table),
    in_ms(Took);
work("storm", #{sessions := Sessions, crashing := Crashing, seconds := Seconds}) ->
    {Table, All} = kept_sessions(Sessions, 20),
    {Ill, Well} = lists:split(Crashing, All),
    Refs = list_to_tuple([pid_of(Supervisor, context_manager) || {_, Supervisor} <- Well]),
    {Before, _, _} = observe(Refs, [], max(1000, Seconds * 250)),
    {During, Errors, Crashes} = observe(Refs, Ill, Seconds * 1000),
    Lost = length([1 || {_, S} <- Ill, length(ask(S, {last, 100})) =/= 20]),
    [shut(Supervisor) || {_, Supervisor} <- All],
    ets:delete(Table),
    {DuringDue, DuringSent} = lists:unzip(During),
    {BeforeDue, BeforeSent} = lists:unzip(Before),
    [{p50, P50}, {p99, P99}] = in_ms(DuringDue),
    [{p50, B50}, {p99, B99}] = in_ms(BeforeDue),
    [{p50, S50}, {p99, S99}] = in_ms(DuringSent),
    [{p50, BS50}, {p99, BS99}] = in_ms(BeforeSent),
    [{errors, Errors + Lost}, {p50, P50}, {p99, P99}, {p50_ratio, P50 / max(B50, 0.001)},
     {p99_ratio, P99 / max(B99, 0.001)}, {baseline_p99, B99},
     {sent_p50_ratio, S50 / max(BS50, 0.001)}, {sent_p99_ratio, S99 / max(BS99, 0.001)},
     {crashes, Crashes / Seconds}, {calls, length(During) / Seconds}].

%% --- their parts ---------------------------------------------------------------------------------------------

took(Fun) -> Began = erlang:monotonic_time(nanosecond), Fun(), (erlang:monotonic_time(nanosecond) - Began) / 1000.

ups(0) -> ok;
ups(N) -> receive up -> ups(N - 1) after 30000 -> error(not_restarted) end.

restart_all(Supervisors) ->
    Pids = [Pid || S <- Supervisors, {_, Pid, _, _} <- supervisor:which_children(S)],
    timed(fun() -> [exit(Pid, kill) || Pid <- Pids], ups(length(Pids)) end).

%% Sessions whose context manager finds its history in a table when it is started again.
kept_sessions(Sessions, Messages) ->
    Table = ets:new(journal, [public, {read_concurrency, false}]),
    All = [begin
        ets:insert(Table, {Id, []}),
        Supervisor = supervise(one_for_one, [child(context_manager, {kept, Table, Id}), child(orchestrator, echo)]),
        Pid = pid_of(Supervisor, context_manager),
        times(Messages, fun() -> gen_server:call(Pid, {append, ?TEXT}) end),
        {Id, Supervisor}
    end || Id <- lists:seq(1, Sessions)],
    {Table, All}.

%% Crash it, and ask until the next one answers.
recover(Supervisor, Messages) ->
    Pid = pid_of(Supervisor, context_manager),
    took(fun() ->
        gen_server:cast(Pid, crash),
        Messages = length(ask(Supervisor, {last, Messages}))
    end).

ask(Supervisor, Question) ->
    case pid_of(Supervisor, context_manager) of
        Pid when is_pid(Pid) ->
            try gen_server:call(Pid, Question) catch exit:_ -> ask(Supervisor, Question) end;
        _ -> ask(Supervisor, Question)
    end.

observe(Well, Ill, Milliseconds) ->
    Me = self(),
    End = now_us() + Milliseconds * 1000,
    Callers = [spawn_link(fun() -> Me ! {result, call_until(Well, N, End)} end) || N <- lists:seq(1, ?CALLERS)],
    Storm = [spawn_link(fun() -> Me ! {result, crash_until(S, End, I * ?CRASH_EVERY div length(Ill))} end)
             || {I, {_, S}} <- lists:enumerate(Ill)],
    Results = gather(length(Callers) + length(Storm)),
    {lists:append([Took || {calls, Took, _} <- Results]),
     lists:sum([E || {calls, _, E} <- Results]),
     lists:sum([C || {crashes, C} <- Results])}.

call_until(Well, N, End) ->
    call_until(Well, N, End, now_us() + ?CALL_EVERY * 1000 * N div ?CALLERS, [], 0).

call_until(_, _, End, Due, Took, Errors) when Due >= End -> {calls, Took, Errors};
call_until(Well, N, End, Due, Took, Errors) ->
    wait_until(Due),
    Pid = element(N rem tuple_size(Well) + 1, Well),
    Sent = now_us(),
    Failed = try gen_server:call(Pid, {last, 10}) of [_ | _] -> 0; _ -> 1 catch _:_ -> 1 end,
    Now = now_us(),
    Took1 = [{Now - Due, Now - Sent} | Took],
    call_until(Well, N + ?CALLERS, End, Due + ?CALL_EVERY * 1000, Took1, Errors + Failed).

crash_until(Supervisor, End, Offset) -> crash_until(Supervisor, End, now_us() + Offset * 1000, 0).

crash_until(_, End, Due, Crashes) when Due >= End -> {crashes, Crashes};
crash_until(Supervisor, End, Due, Crashes) ->
    wait_until(Due),
    Pid = pid_of(Supervisor, context_manager),
    is_pid(Pid) andalso gen_server:cast(Pid, crash),
    crash_until(Supervisor, End, max(Due + ?CRASH_EVERY * 1000, now_us()), Crashes + 1).

wait_until(Due) ->
    case Due - now_us() of
        Left when Left > 0 -> receive after (Left + 999) div 1000 -> ok end;
        _ -> ok
    end.
