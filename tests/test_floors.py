"""Imports go down the floors only (the table below is the building's plan).

`supervision` stands by itself under everything: anyone with Pykka actors may use it alone.
`raft_actors.core` is pure: no clock, no chance of its own, no disk, no wire, no thread, no log.
Planted once to see it go red: `import time` in core/server.py, `from raft_actors import raft` in
stores/rocks.py, `import raft_actors` in supervision/timer.py.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS = {
    0: "errors config future paths state_machine surroundings terms names",
    1: "core",
    2: "stores wire metrics",
    # 3: the runtime, nodes and peers: whatever is not named here
    4: "raft joining client cluster async_cluster __init__",
    5: "launch commands cli shell demo simulate torture bench replay observe dashboard __main__ "
    "local_cluster pytest_plugin offline",
}
FLOOR_OF = {part: floor for floor, parts in FLOORS.items() for part in parts.split()}
RUNTIME = 3

UPWARDS = {("state_machine", "peers")}
"""`KVStore.child_spec` must be a method of what the user writes; it imports when it is called."""

DATA_TOOLS = (
    "__future__ abc bisect collections copy dataclasses enum functools hashlib heapq itertools "
    "json math operator struct types typing zlib"
)
"""What core may use of the standard library: tools that compute, and touch nothing outside."""

THIRD_PARTY = {
    "errors config future state_machine names core metrics": set(),
    "terms wire": {"msgpack"},
    "stores": {"msgpack", "rocksdict", "lmdb"},
    "disk_dict": {"rocksdict"},
    "simulation": {"msgpack", "pykka", "rocksdict"},
    "raft client cluster async_cluster __init__ launch cli __main__": {"pykka"},
    "commands": {"typer"},
    "shell": {"IPython", "pygments", "prompt_toolkit", "traitlets", "pykka"},
    "demo simulate torture bench observe dashboard": {"rich"},
    "offline": {"rich", "typer"},
    "pytest_plugin": {"pytest"},
}
ALLOWED_BY_PART = {part: names for parts, names in THIRD_PARTY.items() for part in parts.split()}
ALLOWED_IN_THE_RUNTIME = {"msgpack", "pykka"}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every name that the module imports, anywhere in it, dotted and absolute."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def part(path: Path) -> str:
    """The module or subpackage right under raft_actors that the file belongs to."""
    return path.relative_to(ROOT / "raft_actors").parts[0].removesuffix(".py")


def part_imported(name: str) -> str:
    """The part of raft_actors that `raft_actors.x.y` reaches into; a re-export is `__init__`."""
    words = name.split(".")
    if len(words) > 1 and any(
        (ROOT / "raft_actors" / f"{words[1]}{end}").exists() for end in ("", ".py")
    ):
        return words[1]
    return "__init__"


def floor_of(part: str) -> int:
    return FLOOR_OF.get(part, RUNTIME)


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", sources("supervision"), ids=identify)
def test_supervision_knows_only_pykka_and_the_standard_library(path: Path) -> None:
    for name in imports(path):
        top = name.partition(".")[0]
        assert top in sys.stdlib_module_names | {"pykka", "supervision"}, name


@pytest.mark.parametrize("path", sources("raft_actors"), ids=identify)
def test_imports_go_down_the_floors(path: Path) -> None:
    floor = floor_of(part(path))
    for name in imports(path):
        if name.split(".")[0] == "raft_actors":
            reached = part_imported(name)
            if (part(path), reached) not in UPWARDS:
                assert floor_of(reached) <= floor, f"floor {floor} imports {name}, above it"


@pytest.mark.parametrize("path", sources("raft_actors"), ids=identify)
def test_each_part_keeps_to_its_third_parties(path: Path) -> None:
    ours = {"raft_actors"} | ({"supervision"} if floor_of(part(path)) >= RUNTIME else set())
    third = ALLOWED_BY_PART.get(part(path), ALLOWED_IN_THE_RUNTIME)
    for name in imports(path):
        allowed = sys.stdlib_module_names | ours | third
        assert name.partition(".")[0] in allowed, f"{part(path)} does not get to import {name}"


@pytest.mark.parametrize("path", sources("raft_actors/core"), ids=identify)
def test_the_core_imports_itself_errors_config_and_data_tools(path: Path) -> None:
    for name in imports(path):
        if name == "random.Random":  # the type of the chance that it is given
            continue
        top = name.partition(".")[0]
        if top == "raft_actors":
            assert part_imported(name) in {"core", "errors", "config"}, name
        else:
            assert top in DATA_TOOLS.split(), f"the core is pure: {name} is not for it"


@pytest.mark.parametrize(
    "module", ["raft_actors", "raft_actors.launch", "raft_actors.tools.commands"]
)
def test_a_node_without_a_prompt_does_not_load_ipython(module: str) -> None:
    code = f"import sys, {module}; print('IPython' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert answer.stdout == "False\n"


def test_an_import_loads_neither_asyncio_nor_a_store():
    """Each is a third of what it takes to import all of raft_actors, and most need neither."""
    code = (
        "import sys\n"
        "from raft_actors import Cluster, Node, Raft, StateMachine, Supervisor\n"
        "print([each for each in ('asyncio', 'rocksdict', 'lmdb', 'rich') if each in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
