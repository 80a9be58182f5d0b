"""Who is let in, and what is taken from whom."""

from tests.mutations.mutation import Mutation

WIRE = ("tests/wire/test_frame_mac.py",)
TLS = ("tests/wire/test_tls_channel.py",)
PAGE = "docs/security.md"

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
)  # fmt: skip
