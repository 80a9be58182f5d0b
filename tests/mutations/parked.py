"""Parked calls: what they answer, and when they end."""

from tests.mutations.mutation import Mutation

AT_REPLICAS = ("tests/replica/test_parked_calls.py",)
BETWEEN_NODES = ("tests/peer/test_parking.py",)
AT_CLIENTS = ("tests/client/test_watch.py", "tests/client/test_topic_watch.py")

MUTATIONS = (
    Mutation(
        "parked_call_answered_with_an_older_index", "decision: parked_calls", "replica/waiting",
        "        index = max(self.applied().index, question.after or 0)\n",
        "        index = self.applied().index\n",
        AT_REPLICAS,
    ),
    Mutation(
        "parked_call_answered_from_an_older_term", "decision: parked_calls", "replica/waiting",
        "after is None or (view[0] >= after[0] and view != after)",
        "after is None or view != after",
        AT_REPLICAS,
    ),
    Mutation(
        "forgotten_topics_count_as_unchanged", "decision: parked_calls", "machine/topics",
        "        if after < self.floor:\n            return None\n",
        "",
        AT_REPLICAS,
    ),
    Mutation(
        "restored_state_claims_to_know_its_topics", "decision: parked_calls",
        "machine/replicated_state",
        "        self.topics.restart(self.index)\n",
        "",
        AT_REPLICAS,
    ),
    Mutation(
        "what_was_published_before_a_call_is_missed", "decision: parked_calls",
        "replica/parked_calls",
        "        answer = waiting.answer(call.question) or self.refusal_of(call)\n",
        "        answer = self.refusal_of(call)\n",
        AT_REPLICAS,
    ),
    Mutation(
        "a_lone_member_keeps_who_waits_for_commands", "decision: parked_calls",
        "replica/parked_calls",
        "        if core.role.leader is None and core.now >=",
        "        if False and core.now >=",
        AT_REPLICAS,
    ),
    Mutation(
        "a_witness_keeps_who_waits_for_commands", "decision: parked_calls",
        "replica/parked_calls",
        "        if is_out or core.has_no_state:\n",
        "        if is_out:\n",
        AT_REPLICAS,
    ),
    Mutation(
        "an_idle_call_never_ends", "decision: parked_calls", "replica/parked_calls",
        "            if self.core.now < call.until:\n                return\n",
        "            return\n",
        AT_REPLICAS,
    ),
    Mutation(
        "one_node_takes_the_calls_of_all", "decision: parked_calls", "replica/parked_calls",
        "            or len(self.by_source.get(call.source, ())) >= max(count_max // SHARE, 1)\n",
        "",
        AT_REPLICAS,
    ),
    Mutation(
        "calls_outlive_the_link_of_their_node", "decision: parked_calls", "peer/router",
        "                tell_if_alive(ref, SourceLost(node))\n",
        "                pass\n",
        BETWEEN_NODES,
    ),
    Mutation(
        "idle_calls_count_as_threads_that_wait", "docs/performance.md", "transport/flusher",
        "len(link.calls) - len(link.long_calls) >= callers_max",
        "len(link.calls) >= callers_max",
        BETWEEN_NODES,
    ),
    Mutation(
        "a_watch_tells_what_came_while_nobody_read", "decision: parked_calls",
        "client/member_views",
        "                del self.parked[parked.member]\n"
        "                self.views.pop(parked.member, None)\n",
        "                parked.owner.take(parked, now)\n",
        AT_CLIENTS,
    ),
    Mutation(
        "a_member_that_hangs_is_waited_for", "decision: parked_calls", "client/member_calls",
        "            if member not in wanted or parked.until <= now:\n",
        "            if member not in wanted:\n",
        AT_CLIENTS,
    ),
    Mutation(
        "the_next_member_is_asked_from_the_beginning", "decision: parked_calls",
        "client/topic_watch",
        "            question = Published(self.after, ",
        "            question = Published(self.question.after, ",
        AT_CLIENTS,
    ),
)  # fmt: skip
