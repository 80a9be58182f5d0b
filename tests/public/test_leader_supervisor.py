"""LeaderSupervisor: its children run on one node only, and not for longer than that is certain."""

import asyncio
import threading

import pytest

import supervision
from raft_actors import LeaderSupervisor, Raft
from raft_actors.errors import LeadLost
from raft_actors.peer.peers import peers_here
from supervision import Backoff, ChildSpec, Process, Supervisor, stop
from tests.helpers import eventually

FAST = {"log_store": "memory"}


class Journal:
    """What the children of all nodes have done, in order: (what, token)."""

    def __init__(self):
        self.lines = []
        self.running = {}
        self.most = 0

    def begin(self, term):
        self.running[int(term)] = term
        self.most = max(self.most, len(self.running))
        self.lines.append(("begin", int(term)))

    def end(self, term):
        del self.running[int(term)]
        self.lines.append(("end", int(term)))

    def tokens(self):
        return [token for what, token in self.lines if what == "begin"]


class Child(Process):
    def init(self, journal, *, term):
        self.journal, self.term = journal, term
        journal.begin(term)

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        return self.term.check()

    def terminate(self, _reason):
        self.journal.end(self.term)


@pytest.fixture
def journal():
    return Journal()


@pytest.fixture
def supervise():
    """Start a LeaderSupervisor for each of these peers; they are stopped at the end."""
    started = []

    def start(children, *peers, **options):
        options.setdefault("stop_within", 1.0)
        for peer in peers:
            answer, supervisor = LeaderSupervisor.start_link(children, of=peer, **options)
            assert answer == "ok", supervisor
            started.append(supervisor)
        return started[-len(peers) :]

    yield start
    for supervisor in reversed(started):
        if supervision.exit_reason(supervisor) is None:
            stop(supervisor, "shutdown")


def whose(supervisors):
    """The place and the token of the supervisor whose children run; None if there is none."""
    tokens = [LeaderSupervisor.token(each) for each in supervisors]
    found = [(place, token) for place, token in enumerate(tokens) if token is not None]
    assert len(found) < 2
    return found[0] if found else None


def leader_of(names):
    return eventually(lambda: Raft.leader(names[0]))[0]


def test_children_run_where_the_peer_leads_and_nowhere_else(trio, supervise, journal):
    names = trio(**FAST)
    supervisors = supervise([(Child, (journal,))], *names)
    place, token = eventually(lambda: whose(supervisors))
    assert names[place] == leader_of(names)
    eventually(lambda: journal.lines == [("begin", token)])
    assert Supervisor.count_children(supervisors[place])["active"] == 1
    others = [each for each in supervisors if each is not supervisors[place]]
    assert all(Supervisor.count_children(each)["active"] == 0 for each in others)


def test_children_have_ended_before_the_leadership_is_handed_over(trio, supervise, journal):
    names = trio(**FAST)
    supervisors = supervise([(Child, (journal,))], *names)
    for _ in range(5):
        place, token = eventually(lambda: whose(supervisors))
        successor = names[(place + 1) % 3]
        assert Raft.transfer_leadership(names[place], successor) == (
            "ok", (successor, "nonode@nohost"),
        )  # fmt: skip
        assert ("end", token) in journal.lines, "nobody waits for the children, else"
    eventually(lambda: whose(supervisors) == ((place + 1) % 3, journal.tokens()[-1]))
    assert journal.most == 1
    assert journal.tokens() == sorted(set(journal.tokens()))


def test_a_child_may_write_to_the_group_while_it_ends(trio, supervise):
    """Commands are taken until the children have ended."""
    names = trio(**FAST)
    written = []

    def save(term):
        term.lost.wait()
        written.append(Raft.write(name, ("set", "last", int(term))))

    supervisors = supervise([save], *names)
    place, token = eventually(lambda: whose(supervisors))
    name = names[place]
    assert Raft.transfer_leadership(name)[0] == "ok"
    assert written[0] == ("ok", "last", token)


def test_a_child_that_does_not_end_stops_no_hand_over(trio, supervise, journal):
    """Python can't end a thread: the leadership goes all the same, and the next children wait."""
    names = trio(**FAST)
    gate = threading.Event()

    def deaf(term):
        journal.begin(term)
        gate.wait(30)

    supervisors = supervise([deaf], *names, hand_over=0.3)
    place, _token = eventually(lambda: whose(supervisors))
    term = next(iter(journal.running.values()))
    assert Raft.transfer_leadership(names[place])[0] == "ok"
    with pytest.raises(LeadLost, match="hands the leadership over"):
        term.check()
    new_place, _token = eventually(lambda: whose(supervisors))
    assert new_place != place
    gate.set()


def test_a_peer_that_is_stopped_stops_the_children_first(trio, supervise, journal):
    names = trio(**FAST)
    supervisors = supervise([(Child, (journal,))], *names)
    place, token = eventually(lambda: whose(supervisors))
    assert Raft.stop_peer(names[place]) == "ok"
    assert ("end", token) in journal.lines
    eventually(lambda: whose(supervisors))
    assert journal.most == 1


def test_children_run_again_where_a_stopped_peer_was_started_again(make_peer, supervise, journal):
    name, _ = make_peer(members=["again"], name="again")
    supervisors = supervise([(Child, (journal,))], name)
    eventually(lambda: whose(supervisors))
    Raft.stop_peer(name)
    assert whose(supervisors) is None
    make_peer(name=name)
    eventually(lambda: whose(supervisors))
    assert journal.tokens() == sorted(set(journal.tokens()))
    assert journal.most == 1


def test_a_killed_peer_takes_the_children_along(trio, supervise, journal):
    names = trio(**FAST)
    supervisors = supervise([(Child, (journal,))], *names)
    place, token = eventually(lambda: whose(supervisors))
    supervision.kill(peers_here().running[names[place]])
    eventually(lambda: ("end", token) in journal.lines)
    eventually(lambda: len(journal.tokens()) > 1)
    assert journal.most == 1


def test_a_peer_that_hangs_does_not_keep_the_children(make_peer, supervise, gated, journal):
    """The thread of the peer is stuck in a command: the clock alone says that the time is over."""
    name, _ = make_peer(gated, members=["hangs"], name="hangs")
    supervisors = supervise([(Child, (journal,))], name)
    _place, token = eventually(lambda: whose(supervisors))
    term = journal.running[token]
    threading.Thread(target=Raft.write, args=(name, "wait", 20)).start()
    assert gated.entered.wait(10)
    eventually(lambda: ("end", token) in journal.lines)
    with pytest.raises(LeadLost, match="no majority"):
        term.check()
    gated.gate.set()
    eventually(lambda: journal.tokens()[-1] > token)


def test_a_supervisor_that_starts_before_its_peer_waits_for_it(make_peer, supervise, journal):
    supervisors = supervise([(Child, (journal,))], "later")
    make_peer(members=["later"], name="later")
    eventually(lambda: whose(supervisors))


def test_a_supervisor_that_ends_stops_its_children_and_the_next_gets_a_new_token(
    make_peer, supervise, journal
):
    name, _ = make_peer(members=["ends"], name="ends")
    [first] = supervise([(Child, (journal,))], name)
    eventually(lambda: LeaderSupervisor.token(first))
    stop(first, "shutdown")
    assert journal.running == {}
    [second] = supervise([(Child, (journal,))], name)
    eventually(lambda: LeaderSupervisor.token(second))
    assert journal.tokens() == sorted(set(journal.tokens()))


def test_two_supervisors_of_a_peer_have_grants_of_their_own(make_peer, supervise, journal):
    name, _ = make_peer(members=["both"], name="both")
    one, two = supervise([(Child, (journal,))], name, name)
    tokens = eventually(lambda: (LeaderSupervisor.token(one), LeaderSupervisor.token(two)))
    eventually(lambda: LeaderSupervisor.token(one) and LeaderSupervisor.token(two))
    tokens = LeaderSupervisor.token(one), LeaderSupervisor.token(two)
    assert tokens[0] != tokens[1]
    stop(two, "shutdown")
    eventually(lambda: journal.lines[-1] == ("end", tokens[1]))
    assert LeaderSupervisor.token(one) == tokens[0]


# Children.


def test_a_child_that_crashes_is_restarted_with_the_same_token(make_peer, supervise, journal):
    name, _ = make_peer(members=["crash"], name="crash")
    [supervisor] = supervise([(Child, (journal,))], name)
    token = eventually(lambda: LeaderSupervisor.token(supervisor))
    [(_id, child, *_)] = eventually(lambda: Supervisor.which_children(supervisor))
    with pytest.raises(ValueError, match="boom"):
        child.ask(ValueError("boom"))
    eventually(lambda: journal.lines == [("begin", token), ("end", token), ("begin", token)])


def test_a_coroutine_runs_as_a_task_and_is_cancelled(make_peer, supervise, journal):
    name, _ = make_peer(members=["coro"], name="coro")

    async def beat(label, term):
        journal.begin(term)
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(0.01)  # a cleanup takes time, and gets it
            journal.end(term)
            journal.lines.append(label)

    [supervisor] = supervise([(beat, ("label",))], name)
    token = eventually(lambda: LeaderSupervisor.token(supervisor))
    eventually(lambda: journal.lines)
    stop(supervisor, "shutdown")
    assert journal.lines == [("begin", token), ("end", token), "label"]


def test_a_coroutine_runs_on_a_loop_that_is_given(make_peer):
    name, _ = make_peer(members=["loop"], name="loop")

    async def main():
        seen = []

        async def beat(term):
            seen.append((asyncio.get_running_loop(), int(term)))
            await asyncio.sleep(1000)

        loop = asyncio.get_running_loop()
        ok, supervisor = LeaderSupervisor.start_link([beat], of=name, loop=loop)
        assert ok == "ok"
        while not seen:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(stop, supervisor, "shutdown")
        assert seen[0][0] is loop

    asyncio.run(main())


def test_a_coroutine_that_raises_is_restarted(make_peer, supervise):
    name, _ = make_peer(members=["raises"], name="raises")
    seen = []

    async def beat(term):
        seen.append(int(term))
        if len(seen) == 1:
            raise ValueError("once")
        await asyncio.sleep(1000)

    supervise([beat], name)
    eventually(lambda: len(seen) == 2)


def test_a_function_runs_on_a_thread_of_its_own(make_peer, supervise, journal):
    name, _ = make_peer(members=["function"], name="function")

    def beat(label, *, term):
        journal.begin(term)
        term.lost.wait()
        journal.end(term)
        journal.lines.append(label)

    [supervisor] = supervise([(beat, {"label": "label"})], name)
    token = eventually(lambda: LeaderSupervisor.token(supervisor))
    eventually(lambda: journal.lines)
    stop(supervisor, "shutdown")
    assert journal.lines == [("begin", token), ("end", token), "label"]


def test_a_function_is_told_to_end_also_if_the_lead_stays(make_peer, supervise, journal):
    name, _ = make_peer(members=["child"], name="child")

    def beat(term):
        journal.begin(term)
        term.lost.wait()
        journal.end(term)

    [supervisor] = supervise([beat], name)
    token = eventually(lambda: LeaderSupervisor.token(supervisor))
    eventually(lambda: journal.lines)
    assert Supervisor.terminate_child(supervisor, "beat") == "ok"
    assert journal.lines == [("begin", token), ("end", token)]
    assert LeaderSupervisor.token(supervisor) == token
    assert Supervisor.restart_child(supervisor, "beat")[0] == "ok"
    eventually(lambda: journal.lines[-1] == ("begin", token))


def test_a_child_that_can_not_start_is_tried_again(make_peer, supervise, journal):
    name, _ = make_peer(members=["tries"], name="tries")
    tries = []

    def start(term):
        tries.append(term)
        return Child.start_link(journal, term=term) if len(tries) > 2 else ("error", "not yet")

    supervise([ChildSpec("late", start)], name, backoff=Backoff(first_s=0.05, max_s=1.0))
    eventually(lambda: journal.lines)


def test_children_that_crash_too_often_end_the_supervisor(make_peer, supervise):
    """Whoever supervises it decides what follows; the lead stays where it is."""
    name, _ = make_peer(members=["storm"], name="storm")

    def fails(term):
        raise ValueError(f"again, {term}")

    [supervisor] = supervise([fails], name)
    assert eventually(lambda: supervision.exit_reason(supervisor)) == "shutdown"
    assert Raft.leader(name) is not None


def test_a_child_in_a_tree_of_its_own(make_peer, journal):
    """As a child spec: the peer, and after it the supervisor of what goes with it."""

    class Tree(Supervisor):
        def init(self):
            return Supervisor.init(
                [(LeaderSupervisor, {"children": [(Child, (journal,))], "of": "tree"})]
            )

    name, _ = make_peer(members=["tree"], name="tree")
    ok, tree = Tree.start_link()
    assert ok == "ok"
    eventually(lambda: journal.lines)
    stop(tree, "shutdown")
    assert journal.running == {}
    assert Raft.leader(name) is not None


def test_a_subclass_names_its_children_in_init(make_peer, journal):
    class Beats(LeaderSupervisor):
        def init(self, journal):
            return LeaderSupervisor.init([(Child, (journal,))], of="subclass")

    make_peer(members=["subclass"], name="subclass")
    ok, beats = Beats.start_link(journal)
    assert ok == "ok"
    eventually(lambda: journal.lines)
    stop(beats, "shutdown")


# Misuse.


def test_a_child_that_takes_no_term_is_refused_at_once():
    def beat():
        pass

    answer, (_kind, reason) = LeaderSupervisor.start_link([beat], of="nobody")
    assert (answer, reason) == ("error", ("takes_no_term", "beat"))
    answer, (_kind, reason) = LeaderSupervisor.start_link([(Supervisor, ([],))], of="nobody")
    assert (answer, reason) == ("error", ("takes_no_term", "Supervisor"))


def test_a_peer_of_another_node_is_refused():
    answer, (_kind, reason) = LeaderSupervisor.start_link([], of=("kv", "a@elsewhere"))
    assert (answer, reason) == ("error", ("other_node", ("kv", "a@elsewhere")))


@pytest.mark.parametrize("options", [{"hand_over": -1}, {"stop_within": 0}, {"stop_within": 1e6}])
def test_times_that_can_not_be_are_refused(options):
    answer, (_kind, (what, _value)) = LeaderSupervisor.start_link([], of="nobody", **options)
    assert (answer, what) == ("error", f"invalid_{next(iter(options))}")


def test_a_peer_that_does_not_run_is_named_in_the_log(monkeypatch, caplog, supervise):
    monkeypatch.setattr("raft_actors.lead.switch.LOOK_AROUND_S", 0.01)
    supervise([], "kvv")
    eventually(lambda: "waits for a peer 'kvv', which does not run" in caplog.text)
