"""What terms cost, beside other ways to keep types apart. Take the ratios, not the numbers.

python -m benchmarks.micro.terms
python -m benchmarks.micro.terms --rounds 1 --seconds 0.001    a look, no measurement
"""

import json
import pickle
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import msgpack  # type: ignore[import-untyped]
import typer

from raft_actors.encoding import dumps, loads

VALUES: dict[str, Any] = {
    "small command": ("set", "key", "v" * 64),
    "one word": "ok",
    "tuple in a tuple": ("ok", ("key", 1)),
    "list in a tuple": ("put", ["a", "b", 1]),
    "document": ("set", "k", {"name": "x", "tags": ["a", "b"], "pos": {"x": 1.0, "y": 2.0}}),
    "datetime": ("at", datetime(2024, 1, 1, tzinfo=UTC)),
    "1,000 pairs": {f"key{n}": n for n in range(1000)},
    "1,000 lists": [[n, str(n)] for n in range(1000)],
    "1 MiB of bytes": ("set", "key", bytes(2**20)),
}


def pack_nested(value: Any) -> msgpack.ExtType:
    """The usual way to keep tuples: an ext type that is packed by itself."""
    if type(value) is tuple:
        return msgpack.ExtType(1, strict(list(value)))
    raise TypeError(type(value))


def strict(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, default=pack_nested, strict_types=True)
    return packed


def unpack_nested(_code: int, data: bytes) -> Any:
    return tuple(msgpack.unpackb(data, ext_hook=unpack_nested, strict_map_key=False))


def read_strict(data: bytes) -> Any:
    return msgpack.unpackb(data, ext_hook=unpack_nested, strict_map_key=False)


WAYS: dict[str, tuple[Callable[[Any], bytes | str], Callable[[Any], Any]]] = {
    "terms": (dumps, loads),
    "bare msgpack": (msgpack.packb, msgpack.unpackb),  # tuples come back as lists
    "msgpack, ext in ext": (strict, read_strict),
    "pickle": (pickle.dumps, pickle.loads),  # not for bytes from outside
    "json": (json.dumps, json.loads),  # no bytes, no tuples
}


def cost_us(call: Callable[[], Any], rounds: int, seconds: float) -> float:
    timer = timeit.Timer(call)
    count = max(1, round(seconds / max(timer.timeit(1), 1e-7)))
    return min(timer.repeat(rounds, count)) / count * 1e6


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Of each measurement; the best counts.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.0, help="Of a round, about.")] = 0.02,
) -> None:
    """Print µs of writing and reading, and bytes, of each way for each value."""
    for name, value in VALUES.items():
        print(f"\n{name:22}{'write':>10}{'read':>10}{'bytes':>10}")
        for way, (write, read) in WAYS.items():
            try:
                data = write(value)
            except TypeError:
                print(f"  {way:20}{'cannot':>10}")
                continue
            times = [
                cost_us(call, rounds, seconds)
                for call in (partial(write, value), partial(read, data))
            ]
            print(f"  {way:20}{times[0]:>7.2f} µs{times[1]:>7.2f} µs{len(data):>10}")


if __name__ == "__main__":
    typer.run(main)
