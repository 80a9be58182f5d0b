"""Clean text: what another node has said, made safe for a line of the log."""

__all__ = ["clean"]

TEXT_MAX = 200  # characters: a longer text is cut


def clean(received: object) -> str:
    """Return a text of a stranger, safe to log: short, printable and one line, so that it can't
    look like another line of the log.
    """
    text = received if isinstance(received, str) else repr(received)
    return "".join(c if c.isprintable() else "?" for c in text[:TEXT_MAX])
