"""Where a node gets told to encrypt, and what it says to what it can't use."""

import os
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization

from raft_actors.errors import BadTls
from raft_actors.node.tls import Tls, TlsFiles, find_tls
from tests.certificates import Authority
from tests.helpers import eventually

COOKIE = "a very secret cookie, and long"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def is_encrypted(a, b):
    assert a.ping(b.name) == "pong"
    connection = a._bridge._links[b.name].connection
    return connection.stream is not connection.socket


def test_the_environment_may_say_auto(make_node, monkeypatch):
    monkeypatch.setenv("RAFT_ACTORS_TLS", "auto")
    a, b = make_node("a", cookie=COOKIE), make_node("b", cookie=COOKIE)
    assert is_encrypted(a, b)


def test_the_environment_may_name_files(make_node, monkeypatch, authority):
    tls = authority.issue("DNS:one")
    for part in ("cert", "key", "ca"):
        monkeypatch.setenv(f"RAFT_ACTORS_TLS_{part.upper()}", str(getattr(tls, part)))
    a = make_node("a@one", cookie=COOKIE)
    b = make_node("b@one", cookie=COOKIE, tls=tls)
    assert is_encrypted(a, b)


def test_without_a_word_nothing_is_encrypted(make_node):
    a, b = make_node("a", cookie=COOKIE), make_node("b", cookie=COOKIE)
    assert not is_encrypted(a, b)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"RAFT_ACTORS_TLS": "yes"}, "RAFT_ACTORS_TLS can only be \"auto\", not 'yes'"),
        (
            {"RAFT_ACTORS_TLS": "auto", "RAFT_ACTORS_TLS_CERT": "x"},
            "give RAFT_ACTORS_TLS or RAFT_ACTORS_TLS_CERT, not both",
        ),
        (
            {"RAFT_ACTORS_TLS_CERT": "x", "RAFT_ACTORS_TLS_KEY": "y"},
            "RAFT_ACTORS_TLS_CA is not given",
        ),
        ({"RAFT_ACTORS_TLS_CA": "x"}, "RAFT_ACTORS_TLS_CERT and RAFT_ACTORS_TLS_KEY are not given"),
    ],
    ids=str,
)
def test_half_a_setting_is_refused_in_words(monkeypatch, settings, words):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadTls) as error:
        find_tls(None, "a@one")
    assert words in str(error.value)


@pytest.mark.parametrize("missing", ["cert", "key", "ca"])
def test_a_file_that_is_not_there_is_named(authority, tmp_path, missing):
    tls = authority.issue("DNS:one")
    parts = {part: getattr(tls, part) for part in ("cert", "key", "ca")}
    parts[missing] = tmp_path / "nowhere.pem"
    with pytest.raises(BadTls, match=r"nowhere\.pem can't be used: No such file") as error:
        find_tls(Tls(**parts), "a@one")
    assert "node." not in str(error.value), "of the three only that one"


@pytest.mark.parametrize("part", ["cert", "key", "ca"])
@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_what_is_no_file_is_told_and_not_waited_for(authority, part, kind):
    """A pipe would hold up the thread of all connections. Planted: let OpenSSL open it."""
    tls = authority.issue("DNS:one")
    path = getattr(tls, part)
    path.unlink()
    path.mkdir() if kind == "directory" else os.mkfifo(path)
    with pytest.raises(BadTls, match=f"{path} can't be used: it is no file"):
        find_tls(tls, "a@one")


def test_a_file_that_becomes_readable_is_read_although_nothing_else_changes(authority):
    """Copied by an administrator, and given to the node's user then. Planted: look at times of
    content only.
    """
    tls = authority.issue("DNS:one")
    files = TlsFiles(tls, "a@one")
    seen = files._look()
    tls.key.chmod(0o640)
    assert files._look() != seen


def test_files_without_a_certificate_and_keys_with_a_password_are_told_in_words(
    authority, tmp_path
):
    """Planted: no password, and OpenSSL asks for one at the terminal."""
    tls = authority.issue("DNS:one")
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing\n")
    with pytest.raises(
        BadTls, match=r"nothing\.pem can't be used: the file has no certificate in PEM"
    ):
        find_tls(Tls(tls.cert, tls.key, nothing), "a@one")
    with pytest.raises(BadTls, match="one of the two is no PEM file, or the key is encrypted"):
        find_tls(Tls(nothing, tls.key, tls.ca), "a@one")
    key = serialization.load_pem_private_key(tls.key.read_bytes(), None)
    tls.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a password"),
        )
    )  # fmt: skip
    with pytest.raises(BadTls, match="or the key is encrypted"):
        find_tls(tls, "a@one")


@pytest.mark.parametrize("wrong", [None, "", 5, b"x"], ids=str)
def test_what_is_no_path_is_refused_in_words(wrong):
    with pytest.raises(BadTls, match="key of Tls must be the path of a file"):
        Tls("cert.pem", wrong, "ca.pem")


def test_a_key_that_all_may_read_is_warned_of(authority, caplog):
    tls = authority.issue("DNS:one")
    find_tls(tls, "a@one")
    assert not caplog.messages
    tls.key.chmod(0o644)
    find_tls(tls, "a@one")
    assert f"other users may read the private key {tls.key}" in caplog.text


def test_auto_without_the_package_says_what_to_install(make_node, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(BadTls, match=r"pip install 'raft_actors\[tls\]'"):
        make_node("a", tls="auto")


def test_without_auto_the_package_is_not_loaded(tmp_path):
    code = (
        "import sys\n"
        "from raft_actors.node.local_node import LocalNode\n"
        "LocalNode('a').start().stop()\n"
        "print('cryptography' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_no_key_of_auto_is_left_on_the_disk(make_node, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    make_node("a", cookie=COOKIE, tls="auto")
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in left if b"PRIVATE KEY" in path.read_bytes()]


def test_neither_cookie_nor_key_is_in_any_line_of_the_log(make_node, caplog, authority):
    """At the finest level, with everything that goes well and badly."""
    caplog.set_level(1)
    tls = authority.issue("DNS:one")
    a = make_node("a@one", cookie=COOKIE, tls=tls)
    b = make_node("b@one", cookie=COOKIE, tls=tls)
    c = make_node("c@one", cookie=COOKIE, tls="auto")
    d = make_node("d@one", cookie="another " + COOKIE, tls="auto")
    plain = make_node("plain@one", cookie=COOKIE)
    assert a.ping(b.name) == "pong"
    for other in (a, d, plain):
        assert c.ping(other.name) == "pang"
    tls.key.write_bytes(b"nothing")
    a.disconnect(b.name)
    eventually(lambda: b.list() == [])
    assert a.ping(b.name) == "pong"
    everything = caplog.text + repr(a) + repr(vars(a)) + repr(vars(a._bridge))
    assert len(caplog.messages) > 10
    assert COOKIE not in everything
    assert "PRIVATE KEY" not in everything


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tls", "on"], '--tls can only be "auto"'),
        (["--tls-cert", "x"], "--tls-key and --tls-ca are not given"),
        (["--tls", "auto", "--tls-ca", "x"], "give --tls or --tls-ca, not both"),
        (["--tls-cert", "x", "--tls-key", "y", "--tls-ca", "z"], "can't be used: No such file"),
    ],
    ids=str,
)
def test_the_command_line_refuses_in_one_line(options, words):
    ran = subprocess.run(
        [sys.executable, "-m", "raft_actors", "node", "--sname", "a", *options],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 2
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert words in line
