"""Digits: how many an int may have as text, which must be the same on every replica.

Python bounds it for each process, 4,300 by default. Beyond the bound `int(text)`, `str(number)` and
`repr(number)` raise ValueError: so does the text of a message that shows a client's huge number.
Where the bound is the same everywhere, that is an outcome like any other: no client ends a group.
"""

import sys

from raft_actors.errors import HostError

__all__ = ["DIGITS_MAX", "check_digits"]

DIGITS_MAX = sys.int_info.default_max_str_digits


def check_digits(name: str) -> None:
    """Raise HostError if this process has another bound than Python's: its replica could part from
    the others without a word.
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
