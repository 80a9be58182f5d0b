"""Who is let in, and what is taken from whom."""

from tests.mutations.mutation import Mutation

WIRE = ("tests/wire/test_frame_mac.py",)
TLS = ("tests/wire/test_tls_channel.py",)
HANDSHAKE = ("tests/wire/test_handshake.py", "tests/wire/test_versions.py")
REAL_TLS = ("tests/transport/test_tls.py",)
ROLES = ("tests/peer/test_roles.py",)
AUDIT = ("tests/node/test_audit.py",)
COOKIES = ("tests/node/test_cookie_file.py",)
ALLOW = ("tests/transport/test_allow_list.py",)
GUESTS = ("tests/transport/test_guests.py",)
MAPPER = ("tests/node/test_lying_mapper.py",)
FLOODS = ("tests/peer/test_guest_floods.py",)
PAGE = "docs/security.md"
NODES = "docs/nodes.md"
WIDE = "docs/nodes.md: roles"

MUTATIONS = (
    Mutation(
        "frames_with_any_tag", PAGE, "wire/frame_mac",
        "        if len(frame) < TAG_BYTES or not hmac.compare_digest("
        "self.tag(payload), frame[-TAG_BYTES:]):",
        "        if len(frame) < TAG_BYTES:",
        WIRE,
    ),
    Mutation(
        "tags_do_not_count", PAGE, "wire/frame_mac",
        "        mac.update(NUMBER.pack(self._number))\n", "",
        WIRE,
    ),
    Mutation(
        "proofs_leave_out_the_certificates", PAGE, "wire/handshake",
        "    return hello, challenge, channel.dialer, channel.acceptor",
        "    return hello, challenge",
        TLS,
    ),
    Mutation(
        "the_beginning_of_a_tag_is_enough", PAGE, "wire/frame_mac",
        "self.tag(payload), frame[-TAG_BYTES:]):",
        "self.tag(payload)[:8], frame[-TAG_BYTES:-8]):",
        WIRE,
    ),
    Mutation(
        "one_key_for_both_directions", PAGE, "wire/handshake",
        "FROM_DIALER, FROM_ACCEPTOR = b\"frames of the dialer\", b\"frames of the acceptor\"",
        "FROM_DIALER, FROM_ACCEPTOR = b\"frames\", b\"frames\"",
        WIRE,
    ),
    Mutation(
        "proofs_leave_out_the_dialers_certificate", PAGE, "wire/handshake",
        "    return hello, challenge, channel.dialer, channel.acceptor",
        "    return hello, challenge, channel.acceptor",
        TLS,
    ),
    Mutation(
        "an_acceptor_looks_at_no_name_in_a_certificate", NODES, "wire/handshake",
        "        named_channel = None if is_client else self._channel",
        "        named_channel = None",
        TLS,
    ),
    Mutation(
        "a_certificate_is_good_for_any_name", NODES, "wire/tls_channel",
        "        if self.names is None:", "        if True:", TLS,
    ),
    Mutation(
        "a_certificate_is_good_for_hosts_whose_names_end_alike", NODES, "wire/tls_channel",
        "name.lower() == host.lower()", "host.lower().endswith(name.lower())", TLS,
    ),
    Mutation(
        "any_authority_is_good_enough", NODES, "node/tls",
        "    context.verify_mode = ssl.CERT_REQUIRED\n    if not dials:",
        "    context.verify_mode = ssl.CERT_NONE\n    if not dials:",
        REAL_TLS,
    ),
    Mutation(
        "a_client_without_a_certificate_is_let_in", NODES, "node/tls",
        "    context.verify_mode = ssl.CERT_REQUIRED\n    if not dials:",
        "    context.verify_mode = ssl.CERT_REQUIRED if dials else ssl.CERT_OPTIONAL\n"
        "    if not dials:",
        REAL_TLS,
    ),
    Mutation(
        "certificates_are_never_read_again", NODES, "node/tls",
        "        if seen != self._seen:\n            self._seen = seen\n            try:",
        "        if False:\n            self._seen = seen\n            try:",
        REAL_TLS,
    ),
    Mutation(
        "a_challenge_without_a_nonce", NODES, "wire/handshake",
        "        nonce = secrets.token_bytes(NONCE_BYTES)\n        self._hello = payload",
        "        nonce = bytes(NONCE_BYTES)\n        self._hello = payload",
        HANDSHAKE,
    ),
    Mutation(
        "a_hello_without_a_nonce", NODES, "wire/handshake",
        "        nonce = secrets.token_bytes(NONCE_BYTES)\n        self.hello",
        "        nonce = bytes(NONCE_BYTES)\n        self.hello",
        HANDSHAKE,
    ),
    Mutation(
        "proofs_are_the_same_at_both_ends", NODES, "wire/cookie",
        "        return mac(self._proofs, *parts)", "        return mac(self._proofs, *parts[1:])",
        HANDSHAKE,
    ),
    Mutation(
        "parts_of_a_proof_run_together", NODES, "wire/cookie",
        "        digest.update(len(part).to_bytes(4, \"big\"))\n", "", HANDSHAKE,
    ),
    Mutation(
        "a_version_that_was_not_offered_is_used", NODES, "wire/handshake",
        "        if version not in self.me.versions:", "        if False:", HANDSHAKE,
    ),
    Mutation(
        "a_required_version_is_not_required", NODES, "wire/handshake",
        "        return versions.supported_from(self.require_version)",
        "        return versions.supported_from(0)",
        (*HANDSHAKE, "tests/transport/test_handshakes.py"),
    ),
    Mutation(
        "whoever_answers_is_who_was_dialed", NODES, "wire/handshake",
        "        if self.target and name != self.target:", "        if False:", HANDSHAKE,
    ),
    Mutation(
        "a_member_proves_what_guests_have", WIDE, "wire/keyring",
        "        return next((cookie for cookie in self.own if cookie.id == cookie_id), None)",
        "        return next((c for c in self._known.values() if c.id == cookie_id), None)",
        HANDSHAKE,
    ),
    Mutation(
        "a_reader_may_write", WIDE, "wire/roles",
        "    READER: Rights(raft=False, requests=READS, actors=WATCHES),",
        "    READER: Rights(raft=False, requests=READS | {\"write\"}, actors=WATCHES),",
        ROLES,
    ),
    Mutation(
        "guests_may_read_the_log", WIDE, "wire/roles",
        "\"read_as\", \"park\", \"unpark\"})",
        "\"read_as\", \"park\", \"unpark\", \"get_entry\"})",
        ROLES,
    ),
    Mutation(
        "a_client_may_stop_actors", WIDE, "wire/roles",
        "requests=READS | {\"write\"}, actors=WATCHES | MESSAGES)",
        "requests=READS | {\"write\"}, actors=WATCHES | MESSAGES | {\"stop\"})",
        ROLES,
    ),
    Mutation(
        "a_reader_may_send_messages", WIDE, "wire/roles",
        "requests=READS, actors=WATCHES)", "requests=READS, actors=WATCHES | MESSAGES)", ROLES,
    ),
    Mutation(
        "what_a_guest_asks_a_peer_is_not_looked_at", WIDE, "peer/router",
        "                if role != MEMBER and operation not in ALLOWED[role]:",
        "                if False:",
        ROLES,
    ),
    Mutation(
        "what_a_guest_sends_to_actors_is_not_looked_at", WIDE, "node/actor_server",
        "        if frame.role != MEMBER and verb not in RIGHTS[frame.role].actors:",
        "        if False:",
        ROLES,
    ),
    Mutation(
        "a_guest_takes_part_in_raft", WIDE, "peer/router",
        "            if not RIGHTS[frame.role].raft:", "            if False:", ROLES,
    ),
    Mutation(
        "a_new_state_is_not_audited", "docs/nodes.md: audit", "replica/requests",
        "AUDITED = {CONFIGURE, STOP, TRANSFER, SNAPSHOT, PART, RESEED, ",
        "AUDITED = {CONFIGURE, STOP, TRANSFER, SNAPSHOT, PART, ",
        AUDIT,
    ),
    Mutation(
        "what_is_not_allowed_is_not_audited", "docs/nodes.md: audit", "node/denials",
        "            audit(\"not_allowed\", node=node, role=role, what=what, times_before=since)\n",
        "",
        AUDIT,
    ),
    Mutation(
        "who_was_refused_is_not_audited", "docs/nodes.md: audit", "transport/dialer",
        "            audit(\"refused_by\", node=dial.node, why=why)", "            pass", AUDIT,
    ),
    Mutation(
        "all_may_read_the_audit_log", "docs/nodes.md: audit", "audit",
        "                    os.fchmod(file.fileno(), 0o600)", "                    pass", AUDIT,
    ),
    Mutation(
        "an_old_cookie_is_accepted_for_ever", NODES, "node/key_source",
        "            self._keys = keys\n",
        "            keys._known |= self._keys._known\n            self._keys = keys\n",
        COOKIES,
    ),
    Mutation(
        "cookies_are_never_read_again", NODES, "node/key_source",
        "or look_at(directory) == self._seen:", "or True:", COOKIES,
    ),
    Mutation(
        "networks_that_may_connect_are_not_looked_at", NODES, "transport/handshakes",
        "        if objection := self._allow.objection_to_host(endpoint.host):",
        "        if objection := \"\":",
        ALLOW,
    ),
    Mutation(
        "names_that_may_connect_are_not_looked_at", NODES, "transport/handshakes",
        "            if objection := self._allow.objection_to_name(connection.claimed_name):",
        "            if objection := \"\":",
        ALLOW,
    ),
    Mutation(
        "any_number_of_guests", NODES, "transport/guests",
        "        if is_member(newcomer) or sum(", "        if True or sum(", GUESTS,
    ),
    Mutation(
        "who_floods_keeps_out_everybody", NODES, "transport/guests",
        "        if len(own) + 1 < len(largest):", "        if False:", GUESTS,
    ),
    Mutation(
        "whoever_has_the_mappers_port_is_a_node_of_this_user", PAGE, "node/mapper_holder",
        "    if others:", "    if False:", MAPPER,
    ),
    Mutation(
        "whatever_the_holder_of_the_mappers_port_answers", PAGE, "node/mapper_holder",
        "    if port != entry.port:", "    if False:", MAPPER,
    ),
    Mutation(
        "requests_of_guests_are_not_counted", NODES, "peer/admission",
        "            if count and (count >= self.count_left", "            if False and (count",
        FLOODS,
    ),
    Mutation(
        "one_network_may_have_everything", NODES, "peer/admission",
        "            if count and (count >= self.count_left",
        "            if count and (self.count_left < 1",
        FLOODS,
    ),
    Mutation(
        "guests_are_counted_by_the_names_that_they_give", NODES, "transport/incoming",
        "        return network_of(connection.host)", "        return str(connection.node)", FLOODS,
    ),
    Mutation(
        "parked_calls_are_counted_by_name_only", NODES, "replica/parked_calls",
        "        if call.network:", "        if False:", FLOODS,
    ),
    Mutation(
        "guests_before_members", NODES, "transport/link_sockets",
        "        if events & READ and not is_member(connection):", "        if False:", FLOODS,
    ),
    Mutation(
        "any_number_of_messages_for_an_actor", NODES, "node/actor_server",
        "    return waiting >= WAITING_MAX or", "    return", FLOODS,
    ),
    Mutation(
        "all_slow_reads_in_one_batch", NODES, "replica/applier",
        "            if now >= until and answered:", "            if False:", FLOODS,
    ),
)  # fmt: skip
