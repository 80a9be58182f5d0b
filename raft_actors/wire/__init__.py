"""The bytes between two nodes: framing, frame contents, and the proof of the cookie. No I/O."""
