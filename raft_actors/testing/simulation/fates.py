"""Fates: what each kind of fate in a plan does to the world."""

from raft_actors.core.configuration import NOBODY
from raft_actors.core.messages import FOLLOWER, LEASE, LINEARIZABLE, STALE
from raft_actors.testing.simulation.disk_loss import may_change, may_wipe
from raft_actors.testing.simulation.plan import Fate, Plan
from raft_actors.testing.simulation.rot import may_rot, rot
from raft_actors.testing.simulation.script import Script
from raft_actors.testing.simulation.transcript import described
from raft_actors.testing.simulation.world import World

__all__ = ["found", "happen", "told_of"]

STALL_TIMEOUTS = 3
"""A slow disk stalls its peer for so many times the longest election timeout at most."""
AT_LEADERS = {"crash", "isolate", "transfer"}
WAYS_TO_READ = (LINEARIZABLE, LINEARIZABLE, LEASE, FOLLOWER, STALE)
STALENESS_TIMEOUTS = 5
"""A stale read allows an age of so many times the longest election timeout at most."""
DAY_MS = 24 * 3_600_000
LIMIT_MS = 4_000
"""Sessions expire after 1 s to so many squared milliseconds, which is some hours."""
BOUNDARIES = 12
"""A step has about so many places at which its process may end."""


def happen(world: World, plan: Plan, script: Script, fate: Fate) -> None:
    """Let one fate happen, if it is possible now."""
    kind, first, second = fate
    wire, clients = world.wire, world.clients
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
    if kind in AT_LEADERS and second < 0.5:  # these faults have most effect at a leader
        name = next((peer.name for peer in world.leaders()), name)
    up = name in world.peers and not world.is_stalled(name)
    match kind:
        case "lose" if wire:
            message = wire.pop(int(first * len(wire)))
            if world.tell:
                world.tell(f"{described(message)}   lost")
        case "repeat" if wire:
            wire.append(wire[int(first * len(wire))])
        case "write":
            asked = whom(world, plan, name, second)
            if asked:
                number = clients.requests
                count = (1, 1, 3)[int(second * 1_000) % 3]
                clients.write(
                    asked,
                    *[script.command(number + n + 1, first) for n in range(count)],
                    session=session_for(world, plan, second),
                )
        case "open":
            asked = whom(world, plan, name, second)
            if asked:
                clients.open_session(asked)
        case "limit":
            asked = whom(world, plan, name, second)
            if asked:
                clients.limit_sessions(asked, 1 + int(first * 1_000) % 5, LIMIT_MS ** (first * 2))
        case "again" if clients.asked:
            asked = whom(world, plan, name, second)
            if asked:
                clients.write_again(asked, -1 - int(first * min(len(clients.asked), 5)))
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
            world.split(side)
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
        case "change" if may_change(world):
            asked = whom(world, plan, name, second)
            if asked and world.peers[asked].core.configuration.members:
                clients.configure(asked, *wished(world, asked, first, second))
        case "transfer" if up:
            clients.transfer(name, names[int(second * len(names))])
        case "renew" if up:
            clients.renew(name)
        case "rot" if may_rot(world, name):
            rot(world, name, first * 1_000 % 1, second)
        case "wipe" if may_wipe(world, name):
            world.wipe(name)
        case "jump":
            jump(world, name, first, second)
        case "reseed" if not plan.lonely or may_change(world):
            reseed(world, whom(world, plan, name, second))


def session_for(world: World, plan: Plan, draw: float) -> int:
    """Return the place of the session in which a client writes; -1 for no session.

    If a group remembers only few sessions, it is one of the newest, because the others have ended.
    """
    opened, draw = len(world.clients.sessions), int(draw * 10_000)
    if plan.sessions_max and opened:
        return opened - 1 - draw % min(opened, plan.sessions_max + 1)
    session = draw % (2 * opened + 1) - 1
    return session if session < opened else -1


def found(world: World, plan: Plan, founder: str) -> None:
    world.configure(founder, plan.members, "", plan.witnesses)


def reseed(world: World, asked: str) -> None:
    """Have a client remove a member whose disk is new, or add a member that was removed for
    this.
    """
    known = world.peers[asked].core.configuration if asked else NOBODY
    members = {name for name, _node in known.members}
    if members:
        wiped = {name for name, _incarnation in world.former}
        strange = world.strangers(known)
        wanted = members - strange if strange else members | wiped
        world.configure(asked, *parts(asked, wanted, set(), wanted & world.witnesses))


def wear(world: World, name: str, draw: float, slow_s: float) -> None:
    """Let every save of a peer take `slow_s` from now on; or make all disks fast again."""
    if draw * 1_000 % 1 < 0.3:
        world.slow.clear()
        told_of(world, "all disks are good")
    else:
        world.slow[name] = slow_s
        told_of(world, f"{name}: each save takes {slow_s:.2f} s")


def jump(world: World, name: str, first: float, second: float) -> None:
    """Move the wall clock of a peer: by hours, or to an impossible time."""
    now = world.wall_ms(name)
    if second < 0.2:
        world.walls[name] -= now + int(first * DAY_MS)  # before 1970
    elif second < 0.3:
        world.walls[name] += 100_000 * DAY_MS
    else:
        world.walls[name] += int((first - 0.5) * DAY_MS)
    told_of(world, f"{name}: its wall clock jumps by {world.wall_ms(name) - now} ms")


def read(world: World, script: Script, asked: str, first: float, second: float) -> None:
    """Have a client read with one of the four consistencies."""
    draw = second * 1_000 % 1
    consistency = WAYS_TO_READ[int(draw * len(WAYS_TO_READ))]
    staleness_s, after = None, 0
    if consistency == STALE:
        draw = second * 100_000 % 1
        if draw < 0.7:
            staleness_s = draw**2 * STALENESS_TIMEOUTS * world.config.max_election_timeout
        if first < 0.5:  # what some client has seen
            after = world.checker.answers.index_shown
    world.read(asked, script.query(first), consistency, staleness_s, after)


def wished(world: World, asked: str, first: float, second: float) -> tuple[str, str, str]:
    """Return the members, learners and witnesses for which a client asks: one member more or less,
    or any others. A peer that was a witness has no state and stays a witness.
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
    """Let a message arrive, and maybe some of the next messages to the same peer with it."""
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
    """Return the peer that a client asks: a peer that leads or believes that it leads, or any peer;
    "" if this peer does not run.
    """
    if draw < plan.aim:
        leaders = list(world.leaders())
        if leaders:
            name = leaders[int(draw / plan.aim * len(leaders))].name
    return "" if name not in world.peers or world.is_stalled(name) else name
