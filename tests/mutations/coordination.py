"""Locks of the kit and what is like them, and the drift that a lease allows for."""

from tests.mutations.mutation import Mutation

PLAYS = ("tests/kit/test_lease_plays.py",)
LOCKS = ("tests/kit/test_machine.py",)
GRANTS = ("tests/kit/test_grants.py",)
PARTIES = ("tests/kit/test_parties.py",)

MUTATIONS = (
    Mutation(
        "lease_allows_for_no_drift_of_clocks", "decision: kit", "kit/lease",
        "DRIFT = 0.02\n",
        "DRIFT = 0.0\n",
        PLAYS,
    ),
    Mutation(
        "waiter_without_a_lease_is_not_told", "decision: kit", "kit/machine/locks",
        "        # Its lease may have ended: then it must not wait on.\n"
        '        step.effects.append(Notify(topic_of("lock", name, holder)))\n',
        "",
        LOCKS,
    ),
    Mutation(
        "holder_that_asks_again_waits_for_itself", "decision: kit", "kit/machine/locks",
        "    if now is not None and now[0] == holder:\n        return now[1], step.index\n",
        "",
        LOCKS,
    ),
    Mutation(
        "few_permits_pass_many", "decision: kit", "kit/machine/grants",
        "        is_free = not queue and self.used",
        "        is_free = self.used",
        GRANTS,
    ),
    Mutation(
        "place_in_the_queue_goes_and_nobody_comes", "decision: kit", "kit/machine/grants",
        "            return False\n        self.pass_on(step, name)\n",
        "            return False\n        if mine is not None:\n"
        "            self.pass_on(step, name)\n",
        GRANTS,
    ),
    Mutation(
        "permits_come_back_twice", "decision: kit", "kit/machine/grants",
        "            del step.tables.change(self.kind, name, \"held\")[holder]\n",
        "",
        GRANTS,
    ),
    Mutation(
        "party_that_comes_twice_is_two", "decision: kit", "kit/machine/barriers",
        "    if party in here:\n        return step.index, None\n",
        "",
        PARTIES,
    ),
    Mutation(
        "party_that_goes_is_waited_for", "decision: kit", "kit/machine/barriers",
        '    if party in step.tables.look("barrier", name, "here"):\n        abort(step, name)\n',
        "",
        PARTIES,
    ),
)  # fmt: skip
