"""Planted bugs in the kit: leases, dicts and queues."""

from tests.mutations.mutation import Mutation

LEASES = ("tests/kit/test_machine.py", "tests/kit/test_leases.py")
DICTS = ("tests/kit/test_dicts.py",)
QUEUES = ("tests/kit/test_queues.py",)

MUTATIONS = (
    Mutation(
        "keepalive_sets_no_timer", "docs/kit.md: leases", "kit/machine/leases",
        "            step.effects.append(Timer(timer_name(lease), ttl_s))",
        "            pass",
        LEASES,
    ),
    Mutation(
        "a_lease_that_ends_keeps_what_hangs_on_it", "docs/kit.md: leases", "kit/machine/leases",
        "        release(step, name, *what)\n",
        "",
        LEASES,
    ),
    Mutation(
        "a_lock_for_a_lease_that_has_ended", "docs/kit.md: leases", "kit/machine/leases",
        '    check(step.tables, lease)\n    step.tables.change("lease", lease)',
        '    step.tables.change("lease", lease)',
        LEASES,
    ),
    Mutation(
        "a_lease_begins_with_its_answer", "docs/kit.md: leases", "kit/core",
        "        return self.leases.add(lease_id, ttl_s, sent_at)",
        "        return self.leases.add(lease_id, ttl_s, since_boot())",
        LEASES,
    ),
    Mutation(
        "a_keepalive_counts_from_its_answer", "docs/kit.md: leases", "kit/core",
        "self.leases.kept(due, gone, sent_at)",
        "self.leases.kept(due, gone, since_boot())",
        LEASES,
    ),
    Mutation(
        "a_lost_lease_comes_back", "docs/kit.md: leases", "kit/lease",
        "        self._owner.end(self)\n        return 0.0",
        "        return 0.0",
        LEASES,
    ),
    Mutation(
        "what_is_owed_is_tried_once", "docs/decisions/kit.md: owed", "kit/core",
        "            except RaftError:\n                return",
        "            except RaftError:\n                pass",
        LEASES,
    ),
    Mutation(
        "a_version_is_not_compared", "docs/dicts.md", "kit/machine/dicts",
        "    now = step.tables.look(\"dict\", name).get(key)\n"
        "    if if_version is not None and version_of(now) != if_version:\n"
        "        return False, now\n    if lease:",
        "    now = step.tables.look(\"dict\", name).get(key)\n    if lease:",
        DICTS,
    ),
    Mutation(
        "a_transaction_does_not_look_again", "docs/dicts.md: transactions", "kit/machine/dicts",
        '        if version_of(step.tables.look("dict", name).get(key)) != version:',
        '        if key not in step.tables.look("dict", name):',
        DICTS,
    ),
    Mutation(
        "a_key_is_kept_by_the_lease_before", "docs/dicts.md: keys that end", "kit/machine/dicts",
        '        leases.unhang(step, old[2], "dict", name, key)\n',
        "",
        DICTS,
    ),
    Mutation(
        "a_scan_sees_later_changes", "docs/dicts.md: large dicts", "kit/machine/dicts",
        "        item = before[key] if key in before else table[key]",
        "        item = table[key] if key in table else before[key]",
        DICTS,
    ),
    Mutation(
        "forgotten_changes_are_passed_over", "docs/dicts.md: watches", "kit/machine/history",
        "    if after < floor:",
        "    if after < 0:",
        DICTS,
    ),
    Mutation(
        "sorted_keys_are_not_kept_in_order", "docs/dicts.md: large dicts", "kit/machine/dicts",
        "            insort(order, key)",
        "            order.append(key)",
        DICTS,
    ),
    Mutation(
        "a_late_worker_may_acknowledge", "docs/queues.md", "kit/machine/queues",
        "    if now is None or now[0] != TAKEN or now[7] != token:",
        "    if now is None or now[0] != TAKEN:",
        QUEUES,
    ),
    Mutation(
        "a_second_attempt_looks_like_the_first", "docs/queues.md", "kit/machine/queues",
        "        READY, value, priority, attempts + 1, attempts_max,",
        "        READY, value, priority, max(attempts, 1), attempts_max,",
        QUEUES,
    ),
    Mutation(
        "a_job_of_a_dead_worker_stays_taken", "docs/queues.md", "kit/machine/queues",
        '    give_back(step, name, job, "its worker has ended", 0.0)\n',
        "    del job\n",
        QUEUES,
    ),
    Mutation(
        "who_waits_is_not_served_first", "docs/queues.md: first come", "kit/machine/queues",
        "        worker = next(iter(waiting))",
        "        worker = next(reversed(waiting))",
        QUEUES,
    ),
    Mutation(
        "a_key_of_a_job_is_not_looked_up", "docs/queues.md", "kit/machine/queues",
        '    known = step.tables.look("queue", name, "keys").get(key) if key else None',
        "    known = None",
        QUEUES,
    ),
)  # fmt: skip
