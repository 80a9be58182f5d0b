"""What the Tab key offers in IPython on a handle of a Replicated class."""

import pytest
from IPython.core.completer import IPCompleter, provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from raft_actors import AsyncCluster, Cluster, Replicated, query, update


class Account(Replicated):
    limit = 10

    def __init__(self) -> None:
        self.balance = 0

    @update
    def pay_in(self, amount: int) -> int:
        """Add to the balance."""
        self.balance += amount
        return self.balance

    @query
    def present_balance(self) -> int:
        return self.balance

    def helper(self) -> None:
        """Neither an update nor a query: no handle has it."""


@pytest.fixture(params=[Cluster, AsyncCluster])
def account(request):
    return Account.at(request.param(("nobody", "nowhere@nohost")))


@pytest.fixture
def shell(tmp_path):
    return InteractiveShell(
        ipython_dir=str(tmp_path), config=Config({"HistoryManager": {"enabled": False}})
    )


def completions(shell, account, text):
    completer = IPCompleter(shell=shell, namespace={"account": account}, global_namespace={})
    completer.use_jedi = False  # jedi reads the source; the handle itself must know its methods
    with provisionalcompleter():
        return {each.text.rpartition(".")[2] for each in completer.completions(text, len(text))}


def test_a_handle_completes_to_its_updates_and_queries_only(shell, account):
    assert completions(shell, account, "account.") == {"pay_in", "present_balance"}


def test_the_first_letters_choose_among_them(shell, account):
    assert completions(shell, account, "account.pay") == {"pay_in"}


def test_a_question_mark_shows_the_arguments_and_the_text_of_a_method(shell, account):
    shell.push({"account": account})
    found = shell.object_inspect("account.pay_in")
    assert found["definition"].startswith("account.pay_in(amount: int)")
    assert "Add to the balance." in found["docstring"]
