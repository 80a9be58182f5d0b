"""Replicated classes that are wrong in one way each, and some that are right."""

import random
import time

from raft_actors import Replicated, query, update


class Bank(Replicated):
    """Books on both accounts, and then finds that the money is missing."""

    def __init__(self):
        self.accounts = {}
        self.log = []
        self.owners = set()

    @update
    def deposit(self, who, amount):
        self.accounts.setdefault(who, {"sum": 0, "moves": []})["sum"] += amount
        self.owners.add(who)

    @update
    def move(self, source, target, amount):
        self.log.append((source, target, amount))
        self.accounts[target]["moves"].append(amount)
        self.accounts[target]["sum"] += amount
        self.owners.discard(source)
        if self.accounts[source]["sum"] < amount:
            raise ValueError("not enough")
        self.accounts[source]["sum"] -= amount
        self.owners.add(source)
        return self.accounts

    @query
    def all(self):
        return [self.accounts, self.log, sorted(self.owners)]


class Leases(Replicated):
    """Lives by replicated time."""

    def __init__(self):
        self.until_ms = {}

    @update
    def take(self, name, for_ms):
        now_ms = self.meta.time_ms
        if self.until_ms.get(name, 0) > now_ms:
            raise ValueError("taken")
        self.until_ms[name] = now_ms + for_ms
        return self.meta.index

    @query
    def is_taken(self, name):
        return self.until_ms.get(name, 0) > self.meta.time_ms


class ByClock(Leases):
    @update
    def take(self, name, for_ms):
        self.until_ms[name] = time.time()


class ByChance(Leases):
    @update
    def take(self, name, for_ms):
        return random.random()


class Beside(Leases):
    """Counts in the class, which a restart begins anew."""

    taken = 0

    @update
    def take(self, name, for_ms):
        type(self).taken += 1
        self.until_ms[name] = type(self).taken


class CountsQueries(Bank):
    asked = 0

    @query
    def all(self):
        type(self).asked += 1
        return type(self).asked


class Upgraded(Bank):
    version = 2

    def upgrade(self, from_version):
        self.accounts = {who: account["sum"] for who, account in self.accounts.items()}

    @update
    def deposit(self, who, amount):
        if self.current_version < 2:
            Bank.deposit.function(self, who, amount)
        else:
            self.accounts[who] = self.accounts.get(who, 0) + amount

    @update
    def move(self, source, target, amount):
        if self.current_version < 2:
            Bank.move.function(self, source, target, amount)
        else:
            self.accounts[target] += amount
            self.accounts[source] -= amount

    @update(version=2)
    def close(self, who):
        del self.accounts[who]
