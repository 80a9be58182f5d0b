"""Every transcript tells what happens now. REWRITE=1 pytest writes them anew: read the diff.

The bugs that each would show are planted by tests/mutations.
"""

import os
from pathlib import Path

import pytest

from tests.scenarios.script import Script

HERE = Path(__file__).parent
TRANSCRIPTS = sorted(HERE.glob("*.txt"))


def played(text: str) -> str:
    """Return the transcript as it comes out now: comments and verbs stay, what follows may not."""
    script, parts = Script(), []
    for block in text.strip().split("\n\n"):
        lines = block.split("\n")
        verbs = lines[: [*lines, "----"].index("----")]
        asked = [line for line in verbs if not line.startswith("#")]
        if not asked:
            parts.append("\n".join(verbs))
            continue
        parts.append("\n".join([*verbs, "----", *(script.block(asked) or ["(nothing)"])]))
    return "\n\n".join(parts) + "\n"


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_transcript_tells_what_happens(path: Path) -> None:
    written = path.read_text()
    now = played(written)
    if os.environ.get("REWRITE"):
        path.write_text(now)
    else:
        assert now.splitlines() == written.splitlines()


def test_the_transcripts_say_what_they_are_about() -> None:
    for path in TRANSCRIPTS:
        assert path.read_text().startswith("# "), path.name
