"""docs/recovery.md: its commands are run, in their order, on a directory as it tells of."""

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from raft_actors.core.configuration import Configuration
from raft_actors.tools.commands import app
from tests.tools.offline.directories import make, record_of

PAGE = Path(__file__).parents[3] / "docs" / "recovery.md"
OWNER = ("peer1", "a@myhost")
MEMBERS = [("peer1", "a@myhost"), ("peer2", "b@myhost"), ("peer3", "c@myhost")]


def commands():
    for block in re.findall(r"^ *```sh\n(.*?)^ *```$", PAGE.read_text(), re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            yield shlex.split(line.strip())


def test_every_command_of_the_page_does_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    group = Configuration.founding(MEMBERS).group
    make("rocksdb", Path("data/a@myhost/peer1"), owner=OWNER, members=MEMBERS, snapshot=60)
    said = {}
    for program, *words in commands():
        assert program == "raft-actors"
        answer = CliRunner().invoke(app, words, input=f"{group}\n")
        assert answer.exit_code == 0, (words, answer.output, answer.exception)
        said[words[1] if words[0] == "recover" else words[0]] = answer.output
    assert set(said) == {
        "inspect", "entries", "verify", "force-configuration", "export", "import", "migrate",
        "replay", "diff",
    }  # fmt: skip
    assert "peer1:a@myhost" in said["inspect"]
    assert "the snapshot of entry 60" in said["replay"]
    assert "'key60'" in said["replay"]
    assert "peer1:a@myhost, from entry 40 to 60" in said["diff"]
    assert "key3" in said["entries"]
    assert "a forced configuration" in said["force-configuration"]
    assert record_of(Path("data/z@myhost/restored"))["owner"] == ["restored", "z@myhost"]
    assert record_of(Path("data/a@myhost/peer1"))["kind"] == "lmdb"
    assert not (set(subcommands()) - set(said)), "the page leaves one out"


def subcommands():
    from raft_actors.tools.offline.commands import recover

    return [each.name for each in recover.registered_commands]
