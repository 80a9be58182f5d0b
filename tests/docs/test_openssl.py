"""The commands of docs/nodes.md that make certificates."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from raft_actors.node.tls import Tls
from tests.node_fixtures import make_node, own_directories  # noqa: F401 - fixtures

PAGE = Path(__file__).parent.parent.parent / "docs" / "nodes.md"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_certificates_made_as_the_page_says_are_taken(tmp_path, make_node):  # noqa: F811
    (commands,) = re.findall(r"<!-- openssl -->\n```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    made = subprocess.run(
        ["sh", "-e", "-c", commands], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "node.key").stat().st_mode & 0o077 == 0
    tls = Tls(*(tmp_path / name for name in ("node.crt", "node.key", "ca.crt")))
    make_node("a@one", cookie="c" * 20, tls=tls)
    other = Tls(*(tmp_path / name for name in ("node.crt", "node.key", "ca.crt")))
    b = make_node("b@one", cookie="c" * 20, tls=other)
    assert b.ping("a@one") == "pong", "the name of the host is good for every node there"
