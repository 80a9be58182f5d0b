"""What we use of Pykka beyond its documentation. Red here after an update of Pykka: start here.

Each test names one internal, and the place of ours that leans on it.
"""

import inspect
import threading

import pykka
from pykka import _actor, _envelope, messages

from supervision import Process
from supervision.inbox import Inbox
from supervision.ref import ProcessRef
from supervision.reply_future import ReplyFuture


def test_envelope_has_message_and_reply_to():
    """inbox.py, ref.py, reply_future.py, process_base.py, process.py"""
    envelope = _envelope.Envelope("message", reply_to=None)
    assert (envelope.message, envelope.reply_to) == ("message", None)
    envelope.reply_to = "future"


def test_stop_is_the_message_actor_stop():
    """process.py, _receive_stop; ref.py, _refuse"""
    told = []

    class Ref:
        def tell(self, message):
            told.append(message)

    actor = pykka.ThreadingActor()
    actor._actor_ref = Ref()
    actor.stop()
    assert type(told[0]) is messages._ActorStop


def test_an_actor_makes_inbox_future_and_thread_by_the_hooks_for_implementors():
    """process_base.py, _create_actor_inbox, _create_future, _start_actor_loop"""
    for name in ("_create_actor_inbox", "_create_future", "_start_actor_loop"):
        assert name in vars(pykka.ThreadingActor)
    process = Process()
    assert type(process.actor_inbox) is Inbox
    assert type(process._create_future()) is ReplyFuture


def test_an_actor_keeps_its_ref_in_underscore_actor_ref():
    """process.py, __init__: replaced by ours"""
    assert type(pykka.ThreadingActor()._actor_ref) is pykka.ActorRef
    process = Process()
    assert type(process.actor_ref) is ProcessRef
    assert process._actor_ref is process.actor_ref


def test_a_ref_copies_inbox_and_stopped_event_and_keeps_the_actor_weakly():
    """ref.py, ProcessRef"""
    process = Process()
    ref = pykka.ActorRef(process)
    assert ref.actor_inbox is process.actor_inbox
    assert ref.actor_stopped is process.actor_stopped
    assert isinstance(ref.actor_stopped, threading.Event)
    assert ref._actor_weakref() is process


def test_is_alive_goes_by_the_stopped_event():
    """ref.py, _close"""
    ref = Process().actor_ref
    assert ref.is_alive()
    ref.actor_stopped.set()
    assert not ref.is_alive()


def test_handle_receive_dispatches_proxy_messages_by_exact_type():
    """process_base.py, _handle_taken; process.py, _special: all else goes straight to on_receive"""
    source = inspect.getsource(_actor.Actor._handle_receive)
    kinds = [name for name in vars(messages) if name.startswith(("Proxy", "_ActorStop"))]
    assert sorted(kinds) == ["ProxyCall", "ProxyGetAttr", "ProxySetAttr", "_ActorStop"]
    assert all(f"messages.{kind}" in source for kind in kinds)
    assert source.count("isinstance(message") == len(kinds)


def test_a_future_keeps_its_result_in_underscore_result_and_is_made_without_arguments():
    """reply_future.py; Pykka's stop makes a second one by future.__class__()"""
    future = ReplyFuture()
    assert future._result is None
    future.set(1)
    assert future._result is not None


def test_a_future_set_twice_raises_full():
    """inbox.py, reply and fail"""
    from queue import Full

    import pytest

    future = pykka.ThreadingFuture()
    future.set(1)
    with pytest.raises(Full):
        future.set(2)
    with pytest.raises(Full):
        future.set_exception((ValueError, ValueError(), None))


def test_ask_uses_the_inbox_of_the_ref_and_the_future_of_the_class():
    """ref.py, ask"""
    source = inspect.getsource(pykka.ActorRef.ask)
    assert "self.actor_class._create_future()" in source
    assert "self.actor_inbox.put(Envelope(message, reply_to=future))" in source


def test_actor_registry_is_as_documented():
    """process.py: roots register, ref.py: whoever ended unregisters, also twice"""
    ref = Process().actor_ref
    pykka.ActorRegistry.register(ref)
    assert pykka.ActorRegistry.get_all() == [ref]
    pykka.ActorRegistry.unregister(ref)
    pykka.ActorRegistry.unregister(ref)
    assert pykka.ActorRegistry.get_all() == []


def test_the_actor_registry_is_a_list_and_a_lock():
    """registry.py, forget_processes; listing.py"""
    assert type(pykka.ActorRegistry._actor_refs) is list
    assert type(pykka.ActorRegistry._actor_refs_lock) is type(threading.RLock())
