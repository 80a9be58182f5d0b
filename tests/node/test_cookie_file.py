"""Where the cookie comes from, and that it stays secret."""

import logging
import os
import stat
import threading

import pytest

from raft_actors.node.cookie_file import cookie_path, find_cookie, read_or_create
from raft_actors.tools.launch import LaunchPlan
from raft_actors.wire.cookie import Cookie, UnsafeCookie
from tests.helpers import eventually


def test_the_first_start_makes_a_cookie_that_only_its_user_may_read(make_node, tmp_path):
    make_node("a")
    path = tmp_path / "config" / "raft_actors" / "cookie"
    assert cookie_path() == path
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
        found.append(read_or_create(path))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == {path.read_bytes()}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_cookie_file_that_others_may_read_is_refused(make_node, mode):
    """Planted: look at the group only, or at all others only."""
    find_cookie()
    cookie_path().chmod(mode)
    with pytest.raises(UnsafeCookie, match=f"chmod 600 {cookie_path()}"):
        make_node("a")


def test_a_cookie_file_of_another_user_is_refused(make_node, monkeypatch):
    find_cookie()
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    with pytest.raises(UnsafeCookie, match=f"{cookie_path()} belongs to another user"):
        find_cookie()


def test_the_environment_comes_before_the_file_and_the_argument_before_both(monkeypatch):
    file = find_cookie().sign(b"x")
    monkeypatch.setenv("RAFT_ACTORS_COOKIE", "from the environment")
    environment = find_cookie().sign(b"x")
    argument = find_cookie("given").sign(b"x")
    assert len({file, environment, argument}) == 3
    assert find_cookie(b"given").sign(b"x") == argument


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
    path = cookie_path()
    path.parent.mkdir(parents=True)
    path.touch(mode=0o600)
    path.write_text("letmein42")
    find_cookie()
    assert f"the cookie in {path} has fewer" in caplog.text
    monkeypatch.setenv("RAFT_ACTORS_COOKIE", "letmein43")
    find_cookie()
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
