"""Append check: whether a follower accepts the entries of an AppendEntries, and its rejection."""

from raft_actors.core.configuration import Configuration
from raft_actors.core.entry import CONFIG, kind_of, payload_of
from raft_actors.core.knowledge import Knowledge
from raft_actors.core.messages import AppendEntries, AppendRejected

__all__ = ["are_a_leaders", "rejection"]


def rejection(state: Knowledge, request: AppendEntries) -> AppendRejected:
    """Return the rejection of a request whose previous entry is not in this log. Its hint is the
    newest entry here from which the leader can go on.
    """
    log = state.log
    hint = log.newest_at_or_before(request.prev_index - 1, request.prev_term)
    return AppendRejected(
        source=state.peer, target=request.source, group=request.group, term=state.term,
        prev_index=request.prev_index, round=request.round,
        hint=hint, hint_term=log.term_at(hint), owes_entries=state.owes_entries(),
    )  # fmt: skip


def are_a_leaders(state: Knowledge, prev_index: int, entries: list[bytes]) -> bool:
    """Return whether a leader of this group may have sent these entries: they replace no committed
    entry (§5.4.3), and each configuration in them names the configuration entry before it.

    A configuration with a wrong `previous` is refused here: if this peer later removed it from its
    log, it would look for the configuration before it in the wrong entry, and crash at each start.
    """
    last = min(state.commit_index, prev_index + len(entries))
    known = max(0, last - prev_index)
    if known and state.log.between(prev_index + 1, last) != entries[:known]:
        return False
    new = entries[known:]
    if CONFIG in map(kind_of, new):
        before, first = state.configuration, prev_index + known + 1
        while before.index >= first:
            before = state.configuration_at(before.previous)
        for index, entry in enumerate(new, first):
            if kind_of(entry) == CONFIG:
                after = Configuration.decode(payload_of(entry), index)
                if after.previous != before.index:
                    return False
                before = after
    return True
