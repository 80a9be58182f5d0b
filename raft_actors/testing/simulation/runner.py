"""Play: let a plan's fates happen, check after each, then heal and expect agreement."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from raft_actors.core.configuration import NOBODY
from raft_actors.core.messages import FOLLOWER, LEASE, LINEARIZABLE, STALE
from raft_actors.machine import sessions
from raft_actors.machine.contract import Machine
from raft_actors.testing.simulation.broken import Broken
from raft_actors.testing.simulation.plan import Fate, Plan
from raft_actors.testing.simulation.tally import DiskTally, Tally
from raft_actors.testing.simulation.world import World
from supervision.foreign import text_of

__all__ = ["Failure", "Script", "play", "transcript"]

HEALING_TIMEOUTS = 60
"""Longest election timeouts that a healed world may take to elect and agree."""
TRIES = 200
"""Looks at a healed world: each lets a part of that time pass."""
STALL_TIMEOUTS = 3
"""Longest election timeouts that a slow disk stalls its peer at most."""
AT_LEADERS = {"crash", "isolate", "transfer"}
WAYS_TO_READ = (LINEARIZABLE, LINEARIZABLE, LEASE, FOLLOWER, STALE)
STALENESS_TIMEOUTS = 5
"""Longest election timeouts that a stale read allows at most."""
VERSION_MAX = 3
"""Versions of the machine that are there in the end."""
DAY_MS = 24 * 3_600_000
BOUNDARIES = 12
"""A step has about as many places where its process may end."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A promise that was broken, after how many fates (`len(fates)`: only in the healed world)."""

    plan: Plan
    after: int
    violation: str

    @property
    def kind(self) -> str:
        """What two failures of one kind have in common: the words, not the names and numbers."""
        words = self.violation.split("\n")[0].split()
        return " ".join(word for word in words if word.isalpha() and len(word) > 1)


@dataclass(frozen=True, slots=True)
class Script:
    """What clients ask, of which machine, and how its states are compared.

    command   of its number and a draw, 0 to 1; `query` of a draw; `reads` tells whether to ask any
    users     whether the machine is a user's
    picture   of a state: what is equal where states are, and stays when the state changes
    oldest    version of the machine that programs may have at first; each is upgraded to `newest`
    """

    machine: type[Machine] = Tally
    command: Callable[[int, float], Any] = lambda number, _draw: number
    query: Callable[[float], Any] = lambda _draw: None
    picture: Callable[[Any], Any] = lambda state: state
    reads: bool = True
    oldest: int = 1
    newest: int = VERSION_MAX
    users: bool = False

    def first_version(self, seed: int) -> int:
        """Half of a user's groups are founded at the newest version, as most are in life."""
        return self.newest if self.users and seed % 2 == 0 else self.oldest


TALLY = Script()
TALLY_ON_DISK = Script(machine=DiskTally, picture=lambda state: dict(state.items()))


def play(
    plan: Plan, script: Script = TALLY, tell: Callable[[str], None] | None = None
) -> Failure | World:
    """Play a plan; return how it failed, or the world as it is in the end.

    tell   is told everything that happens, in words
    """
    if plan.on_disk and script is TALLY:
        script = TALLY_ON_DISK
    with bounds_of_sessions(plan):
        return played(plan, script, tell)


@contextmanager
def bounds_of_sessions(plan: Plan) -> Iterator[None]:
    before = sessions.SESSIONS_MAX, sessions.WINDOW
    if plan.sessions_max:
        sessions.SESSIONS_MAX, sessions.WINDOW = plan.sessions_max, plan.sequences
    try:
        yield
    finally:
        sessions.SESSIONS_MAX, sessions.WINDOW = before


def played(plan: Plan, script: Script, tell: Callable[[str], None] | None) -> Failure | World:
    world: World | None = None
    after = 0
    try:
        world = World(
            plan.names, plan.seed, plan.config, machine=script.machine, picture=script.picture,
            version=script.first_version(plan.seed), rates=plan.rates, wall_rate=plan.wall_rate,
            encoded=plan.encoded, others=plan.others, inline=plan.inline, tell=tell,
        )  # fmt: skip
        found(world, plan, plan.founder)
        for after, fate in enumerate(plan.fates, 1):  # noqa: B007 - it tells where it failed
            happen(world, plan, script, fate)
        if tell:
            tell("the world is healed")
        heal(world, plan, script)
    except Broken as broken:
        return Failure(plan, after, str(broken))
    except Exception as error:  # the code under test may raise anything
        who = world.busy.name if world is not None and world.busy else "the simulation"
        return Failure(plan, after, f"{who} raised {text_of(error)}")
    finally:
        if world is not None:
            world.close()
    return world


def happen(world: World, plan: Plan, script: Script, fate: Fate) -> None:
    """Let one fate happen, as far as it can."""
    kind, first, second = fate
    wire = world.wire
    if kind == "deliver":
        if wire:
            deliver(world, plan, first, second)
        return
    if kind == "tick":
        late = int(second * 1024) & int(first * 8192) if second < 0.5 else 0
        world.pass_time(first * plan.pace, late)
        return
    names = world.names
    name = names[int(first * len(names))]
    if kind in AT_LEADERS and second < 0.5:  # that is where it hurts
        name = next((peer.name for peer in world.leaders()), name)
    up = name in world.peers and not world.is_stalled(name)
    match kind:
        case "lose" if wire:
            message = wire.pop(int(first * len(wire)))
            if world.tell:
                from raft_actors.testing.simulation.transcript import described

                world.tell(f"{described(message)}   lost")
        case "repeat" if wire:
            wire.append(wire[int(first * len(wire))])
        case "write":
            asked = whom(world, plan, name, second)
            if asked:
                number = world.requests
                count = (1, 1, 3)[int(second * 1_000) % 3]
                world.write(
                    asked,
                    *[script.command(number + n + 1, first) for n in range(count)],
                    session=session_for(world, plan, second),
                )
        case "open":
            asked = whom(world, plan, name, second)
            if asked:
                world.open_session(asked)
        case "again" if world.asked:
            asked = whom(world, plan, name, second)
            if asked:
                world.write_again(asked, -1 - int(first * min(len(world.asked), 5)))
        case "read":
            asked = whom(world, plan, name, second)
            if asked and script.reads:
                read(world, script, asked, first, second)
        case "crash" if up:
            world.crash(name, second)
        case "die":
            world.fuse = 1 + int(first * BOUNDARIES)
        case "slow":
            world.drag = first * STALL_TIMEOUTS * plan.config.max_election_timeout
        case "fill":
            if second < 0.5:
                world.full.clear()
                told_of(world, "all disks have room")
            else:
                world.full.add(name)
                told_of(world, f"{name}: its disk is full")
        case "wear":
            wear(world, name, first, second * plan.config.min_election_timeout)
        case "install" if world.versions[name] < script.newest:
            world.install(name)
        case "start":
            down = [n for n in names if n not in world.peers]
            if down:
                world.start(down[int(first * len(down))])
        case "cut":
            other = names[int(second * len(names))]
            world.cut.add((name, other))
            if first * 1_000 % 1 < 0.6:
                world.cut.add((other, name))
            told_of(world, f"cut: {' '.join(sorted(a + b for a, b in world.cut))}")
        case "isolate":
            world.isolate(name)
            told_of(world, f"{name} is isolated")
        case "split":
            side = {n for place, n in enumerate(names) if int(first * 65_536) >> place & 1}
            world.cut = {(a, b) for a in names for b in names if (a in side) != (b in side)}
            told_of(world, f"{''.join(sorted(side)) or 'nobody'} and the others are cut apart")
        case "heal":
            world.heal()
            told_of(world, "all links are whole")
        case "unlink" if up:
            leader = world.peers[name].core.role.leader
            other = leader[0] if leader and second < 0.5 else names[int(second * len(names))]
            if other != name:
                told_of(world, f"{name} hears that its connection to {other} broke")
                world.lose_node(name, other)
        case "found" if not (plan.lonely and world.former):
            founder = plan.members[int(first * len(plan.members))] if plan.both else plan.founder
            if founder in world.peers and not world.is_stalled(founder):
                found(world, plan, founder)
        case "change" if world.may_change():
            asked = whom(world, plan, name, second)
            if asked and world.peers[asked].core.configuration.members:
                world.configure(asked, *wished(world, asked, first, second))
        case "transfer" if up:
            world.transfer(name, names[int(second * len(names))])
        case "wipe" if world.may_wipe(name):
            world.wipe(name)
        case "jump":
            jump(world, name, first, second)
        case "reseed" if not plan.lonely or world.may_change():
            reseed(world, whom(world, plan, name, second))


def session_for(world: World, plan: Plan, draw: float) -> int:
    """The place of the session that a client writes in; -1 for none.

    Where there may be few at once, it is one of the newest: the others are gone.
    """
    opened, draw = len(world.sessions), int(draw * 10_000)
    if plan.sessions_max and opened:
        return opened - 1 - draw % min(opened, plan.sessions_max + 1)
    session = draw % (2 * opened + 1) - 1
    return session if session < opened else -1


def found(world: World, plan: Plan, founder: str) -> None:
    world.configure(founder, plan.members, "", plan.witnesses)


def reseed(world: World, asked: str) -> None:
    """Have a client remove a member whose disk is new, or add one that was removed so."""
    known = world.peers[asked].core.configuration if asked else NOBODY
    members = {name for name, _node in known.members}
    if members:
        wiped = {name for name, _incarnation in world.former}
        wanted = members - world.strangers(known) if world.strangers(known) else members | wiped
        world.configure(asked, *parts(asked, wanted, set(), wanted & world.witnesses))


def wear(world: World, name: str, draw: float, slow_s: float) -> None:
    """Let every save of a peer take so long from now on; or make all disks good again."""
    if draw * 1_000 % 1 < 0.3:
        world.slow.clear()
        told_of(world, "all disks are good")
    else:
        world.slow[name] = slow_s
        told_of(world, f"{name}: each save takes {slow_s:.2f} s")


def jump(world: World, name: str, first: float, second: float) -> None:
    """Set the wall clock of a peer: by hours, or to where no clock should be."""
    now = world.wall_ms(name)
    if second < 0.2:
        world.walls[name] -= now + int(first * DAY_MS)  # before 1970
    elif second < 0.3:
        world.walls[name] += 100_000 * DAY_MS
    else:
        world.walls[name] += int((first - 0.5) * DAY_MS)
    told_of(world, f"{name}: its wall clock jumps by {world.wall_ms(name) - now} ms")


def read(world: World, script: Script, asked: str, first: float, second: float) -> None:
    """Have a client read in one of the ways there are."""
    draw = second * 1_000 % 1
    consistency = WAYS_TO_READ[int(draw * len(WAYS_TO_READ))]
    staleness_s, after = None, 0
    if consistency == STALE:
        draw = second * 100_000 % 1
        if draw < 0.7:
            staleness_s = draw**2 * STALENESS_TIMEOUTS * world.config.max_election_timeout
        if first < 0.5:  # what some client has seen
            after = world.checker.index_shown
    world.read(asked, script.query(first), consistency, staleness_s, after)


def wished(world: World, asked: str, first: float, second: float) -> tuple[str, str, str]:
    """The members, learners and witnesses that a client asks for: one member more or less, or any
    others. Who was a witness once has no state and stays one.
    """
    names = world.names
    configuration = world.peers[asked].core.configuration
    world.witnesses |= {name for name, _node in configuration.witnesses}
    if second * 1_000 % 1 < 0.5:
        members = {name for name, _node in configuration.members}
        members ^= {names[int(first * len(names))]}
        return parts(asked, members, set(), members & world.witnesses)
    bits = int(first * 65_536)
    members = {name for place, name in enumerate(names) if bits >> place & 1}
    learners = {name for place, name in enumerate(names) if bits >> place + 6 & 1} - members
    had_state = {name for name, _node in configuration.members} - world.witnesses
    some = {name for place, name in enumerate(names) if bits >> place + 9 & 3 == 3} - had_state
    return parts(asked, members, learners - world.witnesses, members & (some | world.witnesses))


def parts(asked: str, *sets: set[str]) -> tuple[str, str, str]:
    members, learners, witnesses = ("".join(sorted(names)) for names in sets)
    return members or asked, learners, witnesses


def told_of(world: World, text: str) -> None:
    if world.tell:
        world.tell(text)


def deliver(world: World, plan: Plan, first: float, second: float) -> None:
    """Let a message arrive; with it maybe others to the same peer that were not far behind."""
    wire = world.wire
    window = min(len(wire), plan.window)
    place = int(first * window)
    target = wire[place].target[0]
    if world.is_stalled(target):
        return
    messages = [wire.pop(place)]
    count = int(second * plan.batch)
    while count and place < min(len(wire), plan.window + 20):
        if wire[place].target[0] == target:
            messages.append(wire.pop(place))
            count -= 1
        else:
            place += 1
    world.deliver(messages)


def whom(world: World, plan: Plan, name: str, draw: float) -> str:
    """Whom a client asks: one that leads or thinks so, or anybody; "" if that one is down."""
    if draw < plan.aim:
        leaders = list(world.leaders())
        if leaders:
            name = leaders[int(draw / plan.aim * len(leaders))].name
    return "" if name not in world.peers or world.is_stalled(name) else name


def heal(world: World, plan: Plan, script: Script) -> None:
    """Expect that the healed world elects, agrees and takes a write, each in bounded time."""
    longest_s = max(config.max_election_timeout for config in (plan.config, *plan.others))
    step_s = longest_s * HEALING_TIMEOUTS / TRIES
    dead = {name for name in plan.dead if name in plan.members}
    if dead:
        go_on_without(world, script, dead, step_s)
    world.heal_all()
    if world.witnesses and world.is_founded() and not world.has_the_state({*world.names}):
        return  # witnesses alone committed the last entries, and their logs begin after them
    for _ in range(TRIES):
        if world.agrees():
            break
        if not world.is_founded():
            found(world, plan, min(name for name in plan.members if name in world.peers))
        world.ring(step_s)
    else:
        raise Broken(
            f"healed for {HEALING_TIMEOUTS} longest election timeouts, and no agreement: "
            f"{world.described()}"
        )
    take_a_write(world, script, step_s)
    wait_for_version(world, step_s)
    if script.users and min(world.versions.values()) < script.newest:
        for name in world.names:
            while world.versions[name] < script.newest:
                world.install(name)
        wait_for_version(world, step_s)
        take_a_write(world, script, step_s)


def go_on_without(world: World, script: Script, dead: set[str], step_s: float) -> None:
    """Expect that those who live take a write, if they are more than half of a group's members, the
    state is not with the dead alone, and one of them may lead."""
    told_of(world, f"{' '.join(sorted(dead))} stay dead, and all else is healed")
    for name in sorted(dead.intersection(world.peers)):
        world.crash(name, 1.0)
    world.heal_all(but=dead)
    if world.can_be_led() and world.has_the_state(set(world.names) - dead):
        take_a_write(world, script, step_s)


def take_a_write(world: World, script: Script, step_s: float) -> None:
    """Expect that a write succeeds. A leader may still be handing over, or be overloaded."""
    for _ in range(TRIES):
        leader = world.leader()
        ticket = None
        if leader is not None:
            ticket = world.write(leader.name, script.command(world.requests + 1, 0.5))[0]
        world.ring(step_s)
        if ticket is not None and ticket.request in world.checker.positions:
            return
    raise Broken(f"no write succeeds in the healed world: {world.described()}")


def wait_for_version(world: World, step_s: float) -> None:
    for _ in range(TRIES):
        if world.has_moved_on():
            return
        world.ring(step_s)
    raise Broken(f"the group does not move to the version that all have: {world.described()}")


def transcript(plan: Plan, script: Script = TALLY) -> list[str]:
    """Play a plan and return what happens in it, line by line."""
    lines: list[str] = []
    played = play(plan, script, lines.append)
    if isinstance(played, Failure):
        lines.append(f"BROKEN: {played.violation}")
    return lines


def cut_short(failure: Failure) -> Plan:
    """Return the plan without the fates that came after the failure."""
    return replace(failure.plan, fates=failure.plan.fates[: failure.after])
