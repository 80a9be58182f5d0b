"""Script: what a transcript in this directory may say, one verb a line.

A transcript is a few blocks: verbs, then `----`, then what happened, as it is told. Every verb is
a method below. Time stands still and no message moves until a verb says so. With REWRITE=1 the
tests write what happens now; the diff is to be read like code.
"""

from dataclasses import replace
from typing import Any

from raft_actors import encoding
from raft_actors.config import Config
from raft_actors.core.configuration import Configuration
from raft_actors.core.entry import (
    COMMAND,
    CONFIG,
    VERSION,
    encode,
    kind_of,
    payload_of,
    term_of,
    version_of,
)
from raft_actors.core.messages import AppendEntries, Message, NodeLost, Tick
from raft_actors.state_machine import StateMachine
from raft_actors.testing.simulation.broken import Broken
from raft_actors.testing.simulation.transcript import described
from raft_actors.testing.simulation.world import World

OPTIONS = {
    "append_bytes_max": int, "inflight_max": int, "apply_max": int,
    "snapshot_entries": int, "snapshot_trailing": int, "snapshot_chunk_bytes": int,
}  # fmt: skip


class Notes(StateMachine):
    """`x=2` writes, `x` reads. What is read says from version 2 on which version answers."""

    def init(self, name: str) -> tuple[str, ...]:
        return ()

    def handle_write(self, command: Any, state: tuple[str, ...]) -> Any:
        return "done", (*state, command)

    def handle_read(self, query: Any, state: tuple[str, ...]) -> Any:
        found = [each.split("=")[1] for each in state if each.split("=")[0] == query]
        answer = found[-1] if found else "nothing"
        return answer if self.current_version == 1 else f"{answer} (version {self.current_version})"

    def upgrade(self, state: tuple[str, ...], from_version: int) -> tuple[str, ...]:
        return state


class Script:
    """One transcript as it is played."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.world: World = None  # the verb `peers` makes it
        self.past: list[Message] = []

    def block(self, verbs: list[str]) -> list[str]:
        """Do the verbs; return what happened."""
        self.lines = []
        for line in verbs:
            verb, *words = line.split()
            try:
                getattr(self, f"do_{verb}")(*words)
            except Broken as broken:  # a story may be about what must not happen
                self.tell(f"BROKEN: {broken}")
        return self.lines

    def tell(self, line: str) -> None:
        self.lines.append(line)

    # The world.

    def do_peers(self, names: str, *options: str) -> None:
        """peers abc inflight_max=1: make peers of these names, none of them in a group."""
        pairs = (option.split("=") for option in options)
        fields = {name: OPTIONS[name](value) for name, value in pairs}
        config = Config(log_store="memory", **fields)
        self.world = World(names, config=config, machine=Notes, tell=self.tell)
        self.lines.clear()

    def do_quiet(self) -> None:
        """As the last verb: don't tell what the block did. It is no part of the story."""
        self.lines[:] = ["(quiet)"]

    def do_log(self, name: str, *words: str) -> None:
        """log a 1 1 4 4 term=5 vote=b: a peer whose log has entries of these terms, and is in term
        5, in which it voted for b.

        The first entry is the configuration of all peers.
        """
        world = self.world
        log = [int(word) for word in words if "=" not in word]
        term = next((int(word[5:]) for word in words if word[:5] == "term="), log[-1])
        founder = world.address(world.names[0])
        members = Configuration.founding(map(world.address, world.names)).founded(
            founder, {world.address(name): disk.incarnation for name, disk in world.disks.items()}
        )
        frames = [encode(log[0], CONFIG, members.encode(), index=1)]
        for index, entry_term in enumerate(log[1:], 2):
            command = encoding.dumps(f"{chr(95 + index)}={entry_term}")
            request = (entry_term, index)
            frames.append(encode(entry_term, COMMAND, command, request, index=index))
        store = world.disks[name].store
        vote = next((world.address(word[5:]) for word in words if word[:5] == "vote="), None)
        store.save((term, vote, 1, members.group), 1, frames)
        told_before, world.tell = world.tell, None
        if name in world.peers:
            world.crash(name)
        world.start(name)
        world.tell = told_before

    def do_crash(self, name: str) -> None:
        self.world.crash(name)

    def do_wipe(self, name: str) -> None:
        """Destroy a disk; its peer ends, and may start again with an empty one."""
        self.world.wipe(name)

    def do_declare(self, name: str, members: str = "") -> None:
        """declare a abc: a peer that is started with the declaration of these members."""
        self.world.configure(name, members, declared=True)

    def do_start(self, name: str) -> None:
        self.world.start(name)

    def do_die(self, name: str, boundary: str, *verb: str) -> None:
        """die a 3 write a x=1: do the verb, and die at its third boundary between effects."""
        self.world.fuse = int(boundary)
        getattr(self, f"do_{verb[0]}")(*verb[1:])

    def do_install(self, name: str) -> None:
        """install a: a runs a program whose machine is one version newer."""
        self.world.install(name)

    def do_fill(self, name: str) -> None:
        """fill a: its disk takes nothing more; it ends with the next save."""
        self.world.full.add(name)

    def do_free(self, name: str) -> None:
        self.world.full.remove(name)

    def do_wear(self, name: str, seconds: str) -> None:
        """wear a 0.2: from now on each save of a takes so long."""
        self.world.slow[name] = float(seconds)

    # The wire.

    def do_settle(self) -> None:
        """Deliver everything that is under way, and what follows from it, in order."""
        while self.world.wire or any(peer.has_more for peer in self.world.peers.values()):
            for name in [n for n, peer in self.world.peers.items() if peer.has_more]:
                self.world.step(name)
            if self.world.wire:
                self.arrive([self.world.wire[0]])

    def do_deliver(self, source: str, target: str) -> None:
        """Deliver what is under way from one to the other now; `*` for anybody."""
        for message in self.under_way(source, target):
            self.arrive([message])

    def do_batch(self, source: str, target: str) -> None:
        """Deliver it all at once, as it may wait in a mailbox."""
        self.arrive(self.under_way(source, target))

    def do_reverse(self, source: str, target: str) -> None:
        """Deliver the newest first."""
        for message in reversed(self.under_way(source, target)):
            self.arrive([message])

    def do_lose(self, source: str, target: str) -> None:
        for message in self.under_way(source, target):
            self.world.wire.remove(message)
            self.tell(f"{described(message)}   lost")

    def do_again(self, source: str, target: str, kind: str = "") -> None:
        """Deliver a copy of the newest message that has come that way; of this kind, if given."""
        found = [m for m in self.past if self.between(m, source, target) and kind in described(m)]
        self.tell("again:")
        self.world.deliver([found[-1]])

    def under_way(self, source: str, target: str) -> list[Message]:
        return [message for message in self.world.wire if self.between(message, source, target)]

    def between(self, message: Message, source: str, target: str) -> bool:
        return source in (message.source[0], "*") and target in (message.target[0], "*")

    def arrive(self, messages: list[Message]) -> None:
        for message in messages:
            self.world.wire.remove(message)
        self.past += [
            replace(m, entries=list(m.entries)) if isinstance(m, AppendEntries) else m
            for m in messages
        ]
        self.world.deliver(messages)

    def do_isolate(self, *names: str) -> None:
        for name in names:
            self.world.isolate(name)

    def do_cut(self, *pairs: str) -> None:
        """cut ab bc: nothing passes from a to b, nor from b to c; the other way it does."""
        self.world.cut |= {(source, target) for source, target in pairs}

    def do_heal(self) -> None:
        self.world.heal()

    def do_unlink(self, name: str, other: str) -> None:
        """Tell `name` that its connection to the node of `other` broke."""
        self.world.step(name, NodeLost(self.world.address(other)[1]))

    # Time.

    def do_alarm(self, *names: str) -> None:
        """Let time pass until the alarm of each has rung: a heartbeat, or an election."""
        world = self.world
        for name in names:
            peer = world.peers[name]
            world.now = max(world.now, peer.alarm_at + 1e-6)
            world.step(name, Tick())

    def do_wait(self, seconds: str) -> None:
        """Let time pass: alarms ring and messages arrive by themselves.

        Heartbeats, their answers and what is lost are left out of the telling.
        """
        before, self.lines = self.lines, []
        self.world.ring(float(seconds))
        boring = ("heartbeat", "alarm rings", "  match ", "   lost")
        self.lines = before + [
            line for line in self.lines if not any(word in line for word in boring)
        ]

    def do_pass(self, seconds: str) -> None:
        """Let time pass, and no alarm ring: everybody is late."""
        self.world.elapse(float(seconds))

    # Clients.

    def do_found(self, name: str, members: str = "") -> None:
        self.world.configure(name, members)

    do_members = do_found

    def do_teach(self, name: str, members: str, learners: str) -> None:
        """teach a abc d: ask for the members abc and the learner d."""
        self.world.configure(name, members, learners)

    def do_witness(self, name: str, members: str, witnesses: str) -> None:
        """witness a abw w: ask for the members abw, of which w keeps no state."""
        self.world.configure(name, members, "", witnesses)

    def do_write(self, name: str, *commands: str) -> None:
        self.world.write(name, *commands)

    def do_read(self, name: str, query: str) -> None:
        self.world.read(name, query)

    def do_transfer(self, name: str, target: str = "") -> None:
        self.world.transfer(name, target)

    # What is to be seen.

    def do_logs(self) -> None:
        """Each log: term:what of every entry; `|` after what is known to be committed.

        `(6@1)` stands for the entries up to 6, of term 1, where they are compacted.
        """
        for name, peer in sorted(self.world.peers.items()):
            log = peer.core.log
            base = log.base
            entries = log.between(base + 1, log.last_index) if log.last_index > base else []
            words = [entry_word(entry) for entry in entries]
            words.insert(peer.core.commit_index - base, "|")
            if base:
                words.insert(0, f"({base}@{log.base_term})")
            self.tell(f"{name}  {' '.join(words)}")

    def do_status(self) -> None:
        for name, peer in sorted(self.world.peers.items()):
            core = peer.core
            vote = f", vote {core.voted_for[0]}" if core.voted_for else ""
            self.tell(f"{name}  {core.role.name} in term {core.term}{vote}, log "
                      f"{core.log.last_index}@{core.log.last_term}, "
                      f"commit {core.commit_index}")  # fmt: skip

    def do_progress(self, name: str) -> None:
        """What a leader knows of the others."""
        for (member, _node), progress in sorted(self.world.peers[name].core.role.progress.items()):
            mode = "probing" if progress.probing else "replicating"
            mode = mode if progress.shipment is None else "shipping"
            self.tell(f"{member}  {mode}, match {progress.match}, next {progress.next}, "
                      f"{len(progress.inflight)} in flight")  # fmt: skip


def entry_word(entry: bytes) -> str:
    kind = kind_of(entry)
    if kind == COMMAND:
        return f"{term_of(entry)}:{encoding.loads(payload_of(entry))}"
    if kind == VERSION:
        return f"{term_of(entry)}:version {version_of(entry)}"
    if kind == CONFIG:
        configuration = Configuration.decode(payload_of(entry), 0)
        parts = (
            ("", configuration.members),
            ("+", configuration.learners),
            ("&", configuration.old),
        )
        words = (mark + "".join(name for name, _node in part) for mark, part in parts if part)
        return f"{term_of(entry)}:[{''.join(words)}]"
    return f"{term_of(entry)}:noop"
