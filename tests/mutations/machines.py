"""What the user's state machine is given, its sessions, and what a client repeats."""

from tests.mutations.mutation import DISK_NETS, Mutation

EFFECT_NETS = (
    "tests/replica/test_carrier.py", "tests/machine/test_effects.py", "tests/peer/test_effects.py",
)  # fmt: skip
SESSION_NETS = (
    "tests/client/test_sessions.py", "tests/machine/test_state_digest.py",
    "tests/public/test_session_limits.py",
)  # fmt: skip
CLASS_NETS = ("tests/machine/test_containers.py", "tests/public/test_replicated.py")
META_NETS = (
    "tests/machine/test_meta.py", "tests/machine/test_leader_calls.py",
    "tests/replica/test_leadership.py",
)  # fmt: skip

MUTATIONS = (
    Mutation(
        "a_machine_runs_as_its_own_version_at_once", "docs/upgrades.md", "machine/replicated_state",
        "        machine.current_version = 1\n",
        "        machine.current_version = machine.version\n",
    ),
    Mutation(
        "upgrades_are_skipped", "docs/upgrades.md", "machine/replicated_state",
        "                state = machine.upgrade(self.state, step)",
        "                step = version - 1\n"
        "                state = machine.upgrade(self.state, step)",
    ),
    Mutation(
        "a_replica_looks_at_hashes", "decisions/encoding.md", "machine/replicated_state",
        "asked = fired or encoding.loads(command, check_hashes=False)",
        "asked = fired or encoding.loads(command)",
    ),
    Mutation(
        "an_object_of_an_unknown_class_is_no_value", "decisions/encoding.md", "encoding/reading",
        "        raise UnknownType(",
        "        raise ValueError(",
        ("tests/ground/test_value_types.py",),
    ),
    Mutation(
        "a_newer_version_of_a_class_is_read", "docs/values.md", "encoding/value_types",
        "        if version > self.version:",
        "        if False:",
        ("tests/ground/test_value_types.py",),
    ),
    Mutation(
        "a_leader_takes_what_it_can_not_read", "docs/values.md", "replica/requests",
        "    if unknown:",
        "    if False:",
        ("tests/peer/test_value_types.py",),
    ),
    Mutation(
        "a_first_state_of_none_is_taken", "docs/snapshots.md", "machine/replicated_state",
        "                check_none(machine)",
        "                pass",
    ),
    Mutation(
        "a_snapshot_of_none_that_no_start_takes", "docs/snapshots.md", "machine/replicated_state",
        "        if self.state is None and self.began_with is not type(None) and data is not None:",
        "        if False:",
    ),
    Mutation(
        "poison_command_ends_the_peer", "defect 17", "machine/replicated_state",
        "        except BaseException as error:  "
        "# SystemExit of one command must not end every replica\n            if depends",
        "        except ZeroDivisionError as error:\n            if depends",
    ),
    Mutation(
        "a_command_that_raised_is_half_done", "DESIGN 4", "machine/replicated_state",
        "                state.rollback()",
        "                pass",
    ),
    Mutation(
        "a_retry_runs_again", "thesis 6.3; defect 18", "machine/sessions",
        "        if answer is None:",
        "        if True:",
    ),
    Mutation(
        "an_expired_session_runs_again", "thesis 6.3", "machine/sessions",
        "        if session.used_ms < self.now_ms - self.limits.session_ms:\n"
        "            self.expire()",
        "        if False:\n            self.expire()",
    ),
    Mutation(
        "limits_are_not_restored", "docs/client.md", "machine/sessions",
        "        self.limits = Limits(*limits)\n",
        "",
        SESSION_NETS,
    ),
    Mutation(
        "a_state_on_disk_has_other_limits", "docs/client.md", "machine/replicated_state",
        "                sessions.limit(command)\n            elif 0 <",
        "                pass\n            elif 0 <",
        SESSION_NETS,
    ),
    Mutation(
        "new_limits_wait_for_the_next_session", "docs/client.md", "machine/sessions",
        "        self.expire()\n        self.end_surplus()\n",
        "",
        SESSION_NETS,
    ),
    Mutation(
        "a_new_limit_resets_the_other", "docs/client.md", "machine/sessions",
        "        before = self.limits\n",
        "        before = Limits(SESSIONS_MAX, SESSION_S * 1_000)\n",
        SESSION_NETS,
    ),
    Mutation(
        "digests_do_not_compare_limits", "docs/client.md", "machine/sessions",
        "        yield self.now_ms, *self.limits\n        for number, session in "
        "self.by_number.items():\n            yield number, session.used_ms, session.newest, "
        "tuple(session.replies)\n",
        "        yield self.now_ms\n        for number, session in "
        "self.by_number.items():\n            yield number, session.used_ms, session.newest, "
        "tuple(session.replies)\n",
        SESSION_NETS,
    ),
    Mutation(
        "any_client_sets_limits", "docs/nodes.md", "replica/requests",
        "(FIRED, ACKED, LIMITS)",
        "(FIRED, ACKED)",
        SESSION_NETS,
    ),
    Mutation(
        "an_ended_session_still_counts", "decision: sessions", "machine/sessions",
        "            self.answers -= len(session.replies)\n",
        "",
    ),
    Mutation(
        "a_broken_link_loses_no_command", "thesis 6.3", "client/call",
        "            self.may_have_happened |= error.was_sent\n",
        "",
    ),
    Mutation(
        "expired_command_that_may_have_run_is_repeated", "thesis 6.3", "client/retrying_client",
        "        if session is None or call.may_have_happened:",
        "        if session is None:",
    ),
    Mutation(
        "replicated_time_goes_back", "decision: sessions", "machine/replicated_state",
        "        if time_ms > sessions.now_ms:",
        "        if True:",
        META_NETS,
    ),
    Mutation(
        "only_sessions_move_the_time", "docs/machines.md", "machine/replicated_state",
        "        if time_ms > sessions.now_ms:",
        "        if request[0] and time_ms > sessions.now_ms:",
        META_NETS,
    ),
    Mutation(
        "a_command_sees_the_entry_before_it", "docs/machines.md", "machine/replicated_state",
        "            self.index + self.applying,",
        "            self.index,",
        META_NETS,
    ),
    Mutation(
        "time_of_a_snapshot_is_not_restored", "docs/machines.md", "machine/sessions",
        "        self.now_ms, *limits = next(sessions)",
        "        _now_ms, *limits = next(sessions)",
        META_NETS,
    ),
    Mutation(
        "a_machine_leads_before_the_first_entry_of_its_term", "§8", "replica/leadership",
        "        if leads and not self.term and applied.last_term() == core.term:",
        "        if leads and not self.term:",
        META_NETS,
    ),
    Mutation(
        "a_machine_leads_on_in_the_next_term", "docs/machines.md", "replica/leadership",
        "        if self.term and not (leads and self.term == core.term):",
        "        if self.term and not leads:",
        META_NETS,
    ),
    Mutation(
        "on_leader_changes_the_state", "docs/machines.md", "machine/replicated_state",
        "                self.note_tell(effect)\n        finally:\n            if ",
        "                self.note_tell(effect)\n        finally:\n            if not ",
        META_NETS,
    ),
    Mutation(
        "a_retry_gets_another_reply", "thesis 6.3", "machine/sessions",
        "            session.keep(sequence, answer)",
        "            session.keep(sequence, FORGOTTEN)",
    ),
    Mutation(
        "sessions_not_in_the_snapshot", "thesis 6.3", "machine/replicated_state",
        "return StateImage(data, self.sessions.stored(), self.duties.stored())",
        "return StateImage(data, (), self.duties.stored())",
    ),
    Mutation(
        "on_disk_state_is_frozen_later", "§7", "machine/disk_dict",
        "            self.tried(lambda: cursor.seek(FIRST_KEY))",
        "            cursor = self.db.iter()\n            cursor.seek(FIRST_KEY)",
        DISK_NETS,
    ),
    Mutation(
        "on_disk_state_ends_at_damage", "every promise of a library is asked for",
        "machine/disk_dict",
        "    cursor.status()\n",
        "",
        DISK_NETS,
    ),
    Mutation(
        "on_disk_the_last_command_may_run_again", "thesis 6.3", "machine/replicated_state",
        "        while index < self.index:\n"
        "            for entry in log.some(index + 1, self.index):",
        "        while index < self.index - 1:\n"
        "            for entry in log.some(index + 1, self.index - 1):",
        DISK_NETS,
    ),
    Mutation(
        "on_disk_commands_passed_over_without_time", "docs/decisions/sessions.md",
        "machine/replicated_state",
        "            sessions.now_ms = max(sessions.now_ms, time_ms)\n",
        "",
        META_NETS,
    ),
    Mutation(
        "order_of_sessions_lost_in_a_snapshot", "docs/decisions/sessions.md", "machine/sessions",
        "        yield self.now_ms, *self.limits\n"
        "        for number, session in self.by_number.items():\n"
        "            yield number, session.used_ms, session.newest, tuple(session.replies.items())",
        "        yield self.now_ms, *self.limits\n"
        "        for number, session in sorted(self.by_number.items(), key=lambda each: each[0]):\n"
        "            yield number, session.used_ms, session.newest, tuple(session.replies.items())",
    ),
    Mutation(
        "window_off_by_one", "thesis 6.3", "machine/sessions",
        "        if session is None or sequence <= session.newest - WINDOW:",
        "        if session is None or sequence < session.newest - WINDOW:",
    ),
    Mutation(
        "a_nested_list_is_not_taken_back", "docs/machines.md", "machine/state_list",
        "        self._journal.undo.append((self._items.insert, place, value))\n",
        "",
        CLASS_NETS,
    ),
    Mutation(
        "a_removed_key_comes_back_at_the_end", "docs/machines.md", "machine/state_dict",
        "        if len(self) <= ORDERED_MAX:",
        "        if False:",
        CLASS_NETS,
    ),
    Mutation(
        "two_attributes_share_a_list", "docs/decisions/machines_as_classes.md",
        "machine/containers",
        "    bare_value = plain(value, LEVELS_MAX - level, what)\n",
        "    if kind in (StateDict, StateList, StateSet):\n        return value\n"
        "    bare_value = plain(value, LEVELS_MAX - level, what)\n",
        CLASS_NETS,
    ),
    Mutation(
        "a_value_that_came_in_is_not_copied", "docs/decisions/machines_as_classes.md",
        "machine/journal",
        "            for each in self.came:\n                each.settle()",
        "            for each in ():\n                each.settle()",
        CLASS_NETS,
    ),
    Mutation(
        "a_query_changes_an_attribute", "docs/machines.md", "machine/object_machine",
        "        state.refuse_changes()\n        return \"ok\", plain(reply)",
        "        return \"ok\", plain(reply)",
        CLASS_NETS,
    ),
    Mutation(
        "a_method_runs_before_its_version", "docs/upgrades.md", "machine/object_machine",
        "        if method.version > self.current_version:\n"
        "            return self.too_new(method), state\n",
        "",
        CLASS_NETS,
    ),
    Mutation(
        "an_attribute_that_was_deleted_is_back", "docs/machines.md", "machine/object_state",
        "                fields.pop(each, None)",
        "                pass",
        CLASS_NETS,
    ),
    Mutation(
        "a_first_value_is_taken_for_an_equal_one", "docs/machines.md", "machine/object_state",
        "            and self.encoded[name] == encoding.dumps_stored(plain(value))",
        "            and encoding.loads_stored(self.encoded[name]) == plain(value)",
        CLASS_NETS,
    ),
    Mutation(
        "a_leader_tells_what_the_leader_before_it_told", "docs/machines.md", "replica/carrier",
        "            if core.role.leads and term == core.term:",
        "            if core.role.leads:",
        EFFECT_NETS,
    ),
    Mutation(
        "followers_tell_too", "docs/machines.md", "replica/carrier",
        "            if core.role.leads and term == core.term:",
        "            if term == core.term:",
        EFFECT_NETS,
    ),
    Mutation(
        "a_timer_fires_twice", "docs/machines.md", "machine/duties",
        "        if not index or self.index_of(duty) != index:",
        "        if not self.index_of(duty):",
        EFFECT_NETS,
    ),
    Mutation(
        "a_new_leader_counts_on", "docs/machines.md", "replica/carrier",
        "            self.stop()\n        if leads:",
        "            self.term = 0\n        if leads:",
        EFFECT_NETS,
    ),
    Mutation(
        "a_snapshot_without_the_outbox", "docs/machines.md", "machine/replicated_state",
        "self.sessions.stored(), self.duties.stored())",
        "self.sessions.stored(), ())",
        EFFECT_NETS,
    ),
    Mutation(
        "an_answer_is_not_noted_in_the_log", "docs/machines.md", "replica/carrier",
        "        self.answered.add((event.name, event.index))\n",
        "",
        EFFECT_NETS,
    ),
    Mutation(
        "version_of_a_snapshot_is_not_restored", "docs/upgrades.md", "machine/replicated_state",
        "        machine.current_version = header.machine",
        "        machine.current_version = version",
    ),
)  # fmt: skip
