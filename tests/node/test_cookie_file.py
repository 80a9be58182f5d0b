"""Where the cookie comes from, and that it stays secret."""

import logging
import os
import stat
import threading

import pytest

from raft_actors.node import cookie_file
from raft_actors.node.cookie_file import keys_in, lines_in, make_file, path_of, replace_file
from raft_actors.node.key_source import KeySource
from raft_actors.tools.launch import LaunchPlan
from raft_actors.wire.cookie import Cookie, UnsafeCookie
from raft_actors.wire.keyring import Keyring
from raft_actors.wire.roles import CLIENT, MEMBER, READER
from tests.helpers import eventually


def test_the_first_start_makes_a_cookie_that_only_its_user_may_read(make_node, tmp_path):
    make_node("a")
    path = tmp_path / "config" / "raft_actors" / "cookie"
    assert path_of(MEMBER) == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(path.read_bytes()) >= 32
    assert [each.name for each in path.parent.iterdir()] == ["cookie"]


def test_many_that_make_it_at_once_agree(tmp_path):
    """Planted: os.replace instead of os.link."""
    path = tmp_path / "deep" / "cookie"
    found = []
    barrier = threading.Barrier(8)

    def make():
        barrier.wait()
        found.append(keys_in(path.parent, create=True)[0].ids[0])

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == {Cookie(path.read_bytes()).id}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_cookie_file_that_others_may_read_is_refused(make_node, mode):
    """Planted: look at the group only, or at all others only."""
    KeySource()
    path_of(MEMBER).chmod(mode)
    with pytest.raises(UnsafeCookie, match=f"chmod 600 {path_of(MEMBER)}"):
        make_node("a")


def test_a_cookie_file_of_another_user_is_refused(make_node, monkeypatch):
    KeySource()
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    with pytest.raises(UnsafeCookie, match=f"{path_of(MEMBER)} belongs to another user"):
        KeySource()


def test_the_environment_comes_before_the_file_and_the_argument_before_both(monkeypatch):
    def used(*given):
        return KeySource(*given).current().own[0].sign(b"x")

    file = used()
    monkeypatch.setenv("RAFT_ACTORS_COOKIE", "from the environment")
    environment = used()
    argument = used("given")
    assert len({file, environment, argument}) == 3
    assert used(b"given") == argument


def test_a_wrong_cookie_is_refused_with_a_clear_line_on_both_sides(make_node, caplog):
    caplog.set_level(logging.INFO)
    make_node("a@one", cookie="very secret")
    b = make_node("b@one", cookie="other secret")
    assert b.ping("a@one") == "pang"
    assert b.list() == []
    eventually(lambda: "dropped b@one at 127.0.0.1" in caplog.text)
    lines = [line for line in caplog.messages if "the cookies differ" in line]
    assert len(lines) == 2
    assert lines[0].startswith("dropped b@one at") or lines[1].startswith("dropped b@one at")
    assert any(line.startswith("a@one can't be reached") for line in lines)
    assert "secret" not in caplog.text


def test_the_cookie_is_in_no_attribute_that_prints(make_node):
    """Planted: keep the argument as it was given."""
    a, b = make_node("a", cookie="very secret"), make_node("b", cookie="very secret")
    assert a.ping(b.name) == "pong"
    assert "very secret" not in f"{a!r} {vars(a)} {vars(a._bridge)}"


@pytest.mark.parametrize("secret", ["letmein42", b"letmein42", "nineteen-characters", Cookie("x")])
def test_a_short_cookie_is_warned_of_and_not_shown(make_node, caplog, secret):
    make_node("a", cookie=secret)
    assert "the cookie that was given has fewer than 20 characters" in caplog.text
    assert "letmein42" not in caplog.text


def test_a_short_cookie_of_the_environment_or_a_file_is_warned_of(monkeypatch, caplog):
    path = path_of(MEMBER)
    path.parent.mkdir(parents=True)
    path.touch(mode=0o600)
    path.write_text("letmein42")
    KeySource()
    assert f"the cookie in {path} has fewer" in caplog.text
    monkeypatch.setenv("RAFT_ACTORS_COOKIE", "letmein43")
    KeySource()
    assert "the cookie in RAFT_ACTORS_COOKIE has fewer" in caplog.text
    assert "letmein" not in caplog.text


def test_a_long_cookie_is_taken_without_a_word(make_node, caplog):
    make_node("a", cookie="twenty-characters-12")
    make_node("b")  # of the file, which it has made
    assert not caplog.messages


@pytest.mark.parametrize("secret", [12345678, ["letmein42"], 1.5])
def test_what_is_no_text_is_no_cookie(make_node, secret):
    """Planted: `bytes` of it. That of a number is so many zeros, which anybody guesses."""
    with pytest.raises(TypeError, match="a cookie is a text, or bytes") as error:
        make_node("a", cookie=secret)
    assert "letmein" not in str(error.value)
    assert "12345678" not in str(error.value)


def test_what_is_launched_does_not_print_its_cookie():
    assert "letmein42" not in repr(LaunchPlan(sname="a", cookie="letmein42"))


def write(role, *lines):
    path = path_of(role)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, [line.encode() for line in lines])
    return path


LONG = "a-member's-cookie-that-is-long-enough"
LONGER = "another-members-cookie-that-is-long-enough"


def test_the_first_line_of_a_file_is_used_first_and_all_are_accepted():
    write(MEMBER, LONG, "", f"  {LONGER} ")
    keys = KeySource().current()
    assert keys.ids == [Cookie(LONG).id, Cookie(LONGER).id]
    assert keys.first_known([Cookie(LONGER).id]) is not None


def test_a_member_accepts_what_its_cookies_make_for_clients_and_readers():
    write(MEMBER, LONG, LONGER)
    keys = KeySource().current()
    for secret in (LONG, LONGER):
        for role in (CLIENT, READER):
            assert keys.first_known([Cookie(Cookie(secret).text_for(role)).id]).role == role


def test_a_clients_file_beside_a_members_takes_the_place_of_what_that_makes():
    write(MEMBER, LONG)
    own = Cookie(LONGER).text_for(CLIENT)
    write(CLIENT, own)
    keys = KeySource().current()
    assert keys.role == MEMBER
    assert keys.first_known([Cookie(own).id]).role == CLIENT
    assert keys.first_known([Cookie(Cookie(LONG).text_for(CLIENT)).id]) is None
    assert keys.first_known([Cookie(Cookie(LONG).text_for(READER)).id]).role == READER


@pytest.mark.parametrize("role", [CLIENT, READER])
def test_where_only_a_guests_file_is_the_node_is_one_and_no_cookie_is_made(role):
    write(role, Cookie(LONG).text_for(role))
    assert KeySource().current().role == role
    assert not path_of(MEMBER).exists()


def test_a_members_cookie_in_the_file_for_clients_is_refused():
    """It would be copied to clients."""
    write(CLIENT, LONG)
    with pytest.raises(UnsafeCookie, match="has a cookie of role member: move that line"):
        KeySource()


def test_a_file_of_spaces_only_is_refused():
    write(MEMBER, " ", "")
    with pytest.raises(UnsafeCookie, match="is empty: remove it"):
        KeySource()


def test_a_file_is_read_again_when_it_changes(caplog):
    caplog.set_level(logging.INFO)
    write(MEMBER, LONG)
    source = KeySource()
    write(MEMBER, LONGER, LONG)
    eventually(lambda: source.current().ids == [Cookie(LONGER).id, Cookie(LONG).id])
    eventually(lambda: f"cookies were read again: {Cookie(LONGER).id.hex()}" in caplog.text)
    assert LONG not in caplog.text


def test_a_cookie_that_was_taken_out_of_the_file_is_accepted_no_more():
    """Nor are those that it has made. Planted: what was accepted once stays so."""
    write(MEMBER, LONGER, LONG)
    source = KeySource()
    old = [Cookie(LONG).id, Cookie(Cookie(LONG).text_for(CLIENT)).id]
    assert all(source.current().first_known([each]) for each in old)
    write(MEMBER, LONGER)
    eventually(lambda: source.current().ids == [Cookie(LONGER).id])
    assert not any(source.current().first_known([each]) for each in old)


def test_a_file_that_can_not_be_used_changes_nothing_and_is_told_once(caplog):
    path = write(MEMBER, LONG)
    source = KeySource()
    path.chmod(0o644)
    eventually(lambda: source.current() and "keeps the cookies that it has" in caplog.text)
    for _ in range(20):
        assert source.current().ids == [Cookie(LONG).id]
    assert caplog.text.count("keeps the cookies") == 1


def test_a_node_does_not_become_one_of_another_role(caplog):
    write(CLIENT, Cookie(LONG).text_for(CLIENT))
    source = KeySource()
    write(MEMBER, LONG)
    eventually(lambda: source.current() and "makes it a member: restart the node" in caplog.text)
    assert source.current().role == CLIENT


def test_a_node_that_runs_reads_its_file_again_without_being_asked(make_node):
    a = make_node("a")
    write(MEMBER, LONG)
    eventually(lambda: a.access._keys._keys.ids == [Cookie(LONG).id])


def test_a_cookie_is_stretched_once_in_a_process(monkeypatch):
    """Planted: derive at each handshake."""
    import hashlib

    Cookie(LONG)
    monkeypatch.delattr(hashlib, "scrypt")
    assert Keyring.of(LONG).own[0].id == Cookie(LONG).id


def test_a_file_is_made_only_where_there_is_none():
    path = path_of(MEMBER)
    assert make_file(path, [b"one"])
    assert not make_file(path, [b"two"])
    assert lines_in(path) == [b"one"]


@pytest.mark.parametrize(
    "content",
    [b"%s\r\n", b"\xef\xbb\xbf%s\n", b"\n\n  %s \t\n", b"%s"],
    ids=["CRLF", "BOM", "spaces", "no end of line"],
)
@pytest.mark.parametrize("role", [MEMBER, CLIENT])
def test_an_editor_may_have_saved_the_file(content, role):
    """A cookie copied to two hosts, and opened on one of them, is the same on both."""
    cookie = LONG if role == MEMBER else Cookie(LONG).text_for(role)
    write(role, "").write_bytes(content % cookie.encode())
    assert keys_in(path_of(role).parent)[0].ids == [Cookie(cookie).id]


@pytest.mark.parametrize(
    "content", [LONG.encode("utf-16"), LONG.encode("utf-16-be"), b"x\0y" * 20, b"\0" * 40], ids=str
)
def test_a_file_that_is_no_plain_text_is_refused(content):
    """Found by an attacker: a file in UTF-16 has two lines, and the second is the cookie NUL."""
    write(MEMBER, "").write_bytes(content + "\n".encode("utf-16-le"))
    with pytest.raises(UnsafeCookie, match="is no plain text: save it as UTF-8"):
        KeySource()


def test_a_comment_is_no_cookie():
    """Every line is accepted from others, who can guess a comment."""
    write(MEMBER, f"# see the wiki\n{LONG}")
    with pytest.raises(UnsafeCookie, match=r"begins with #.*remove it"):
        KeySource()


def test_a_pipe_in_place_of_the_file_is_refused_and_not_waited_for():
    path = write(MEMBER, LONG)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(UnsafeCookie, match="is no file"):
        KeySource()


def test_a_link_may_lead_to_the_file_and_one_to_nowhere_is_named():
    path = write(MEMBER, LONG)
    path.rename(path.with_name("real"))
    path.symlink_to("real")
    source = KeySource()
    assert source.current().ids == [Cookie(LONG).id]
    path.with_name("real").unlink()
    with pytest.raises(UnsafeCookie, match=r"cookie is a link to a file that is not there"):
        KeySource()


def test_one_thread_reads_a_file_however_many_ask_meanwhile(monkeypatch):
    """Each new connection asks, and a flood of strangers is a thousand a second. Planted: a thread
    for each.
    """
    write(MEMBER, LONG)
    source = KeySource()
    gate = threading.Event()

    def read(_directory):
        gate.wait(10)
        raise UnsafeCookie("as the test wants it")

    monkeypatch.setattr(source, "_keys_in", read)
    write(MEMBER, f"another {LONG}")
    try:
        before = threading.active_count()
        for _ in range(100):
            source.current()
        assert threading.active_count() == before + 1
    finally:
        gate.set()
        eventually(lambda: threading.active_count() == before)


def test_a_file_that_becomes_this_users_own_is_read_although_nothing_else_changes(
    monkeypatch, caplog
):
    """An administrator copies it and gives it away then. Planted: look at times of content only."""
    path = write(MEMBER, LONG)
    source = KeySource()
    monkeypatch.setattr(cookie_file.os, "geteuid", lambda: os.getuid() + 1)
    write(MEMBER, f"another {LONG}")
    eventually(lambda: source.current() and "belongs to another user" in caplog.text)
    monkeypatch.undo()
    os.chown(path, -1, path.stat().st_gid)  # changes nothing but the ctime
    eventually(lambda: source.current().ids == [Cookie(f"another {LONG}").id])
