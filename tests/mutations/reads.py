"""What a read may answer, and when."""

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "read_released_by_an_older_round", "thesis 6.4; defect 12", "core/read_index",
        "        self.round += 1\n        self.started.append((self.round, now, self.waiting))",
        "        self.started.append((self.round, now, self.waiting))\n        self.round += 1",
    ),
    Mutation(
        "lost_read_index_is_not_asked_again", "thesis 6.4", "core/follower_reads",
        "        self.again = bool(self.asked) and self.asked_at <= unanswered_since",
        "        pass",
    ),
    Mutation(
        "lease_without_regard_for_the_clocks", "thesis 6.4.1", "core/lease",
        "promise_ms / 1000 / (1 + self.drift_max)",
        "promise_ms / 1000",
    ),
    Mutation(
        "lease_from_the_newest_round", "thesis 6.4.1", "core/lease",
        "        return began[place][1] +",
        "        return began[-1][1] +",
    ),
    Mutation(
        "an_answer_answers_newer_questions", "thesis 6.4", "core/follower_reads",
        "while self.asked and self.asked[0][0] <= number:",
        "while self.asked and self.asked[0][0] <= self.number:",
    ),
    Mutation(
        "fresh_from_when_the_question_was_repeated", "decision: reads", "core/follower_reads",
        "            _number, when, reads = self.asked.popleft()\n",
        "            _number, _when, reads = self.asked.popleft()\n"
        "            when = self.asked_at\n",
    ),
)  # fmt: skip
