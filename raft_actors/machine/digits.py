"""Digits: the largest number of digits that an int may have as text. It must be the same on every
replica.

Python has such a bound for each process, 4,300 by default. Beyond it `int(text)`, `str(number)` and
`repr(number)` raise ValueError; so does a message that shows a client's huge number. If the bound
is the same on every replica, this exception is a result like any other, and no client can end a
group with it.
"""

import sys

from raft_actors.errors import HostError

__all__ = ["DIGITS_MAX", "check_digits"]

DIGITS_MAX = sys.int_info.default_max_str_digits


def check_digits(name: str) -> None:
    """Raise HostError if this process has another bound than Python's default: the state of its
    replica could differ from the others', and nobody would notice.
    """
    bound = sys.get_int_max_str_digits()
    if bound != DIGITS_MAX:
        raise HostError(
            f"{name}: sys.get_int_max_str_digits() is {bound} in this process: int(text) and "
            "str(number) of many digits would do here what they do on no other replica. Keep "
            f"Python's {DIGITS_MAX} where peers run: no PYTHONINTMAXSTRDIGITS, no -X "
            "int_max_str_digits, no sys.set_int_max_str_digits. hex(number) and int(text, 16) have "
            "no bound"
        )
