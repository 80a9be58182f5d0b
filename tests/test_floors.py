"""Imports go down the floors only, and in no circle: the table below is the building's plan.

`supervision` stands by itself under everything: anyone with Pykka actors may use it alone.
`raft_actors.core` is pure: no clock, no chance of its own, no disk, no wire, no thread, no log.
Planted once to see it go red: `import time` in core/server.py, `from raft_actors import raft` in
stores/rocksdb.py, `import raft_actors` in supervision/timer.py, and under TYPE_CHECKING a `Server`
in core/entry.py, a `NodeDirectory` in transport/dialer.py, a `Peer` in peer/host.py.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

GROUND, PUBLIC = "ground", "public"

FLOORS = {
    GROUND: 0,
    "core": 1, "wire": 1,
    "stores": 2, "transport": 2,
    "machine": 3, "node": 3,
    "replica": 4,
    "peer": 5,
    "client": 6,
    "lead": 6,
    PUBLIC: 7,
    "kit": 8, "testing": 8,
    "tools": 9,
}  # fmt: skip
"""Of each room. An import goes to a lower floor, or stays in its room."""

FLAT = {
    GROUND: "audit clock config effects encoding errors events future names paths surroundings "
            "timeouts",
    PUBLIC: "__init__ async_cluster cluster kv_store leader_supervisor program raft replicated "
            "state_machine",
    "tools": "__main__",
}  # fmt: skip
"""The modules that lie in no folder, by their rooms."""
ROOM_OF = {module: room for room, modules in FLAT.items() for module in modules.split()}

WITHOUT_SUPERVISION = {GROUND, "core", "wire", "stores", "machine", "replica"}
"""Rooms that know no actor and no thread of one, so that a simulation can run what is in them."""

DATA_TOOLS = (
    "__future__ abc bisect collections copy dataclasses enum functools hashlib heapq itertools "
    "json math operator struct types typing zlib"
)
"""What core may use of the standard library: tools that compute, and touch nothing outside."""

THIRD_PARTY = {
    "core": set(),
    "wire": {"msgpack"},
    "stores": {"msgpack", "rocksdict", "lmdb"},
    "machine": {"rocksdict"},
    "replica": set(),
    "transport": {"msgpack"},
    "node": {"cryptography", "msgpack", "pykka"},
    "peer": {"msgpack", "pykka"},
    "client": {"pykka"},
    "lead": set(),
    "kit": set(),
    PUBLIC: {"pykka", "typing_extensions"},  # the latter for type checkers only
    "testing": {"msgpack", "pykka", "pytest", "rocksdict"},
    "tools": {"IPython", "msgpack", "prompt_toolkit", "pygments", "pykka", "rich", "traitlets",
              "typer"},
}  # fmt: skip
"""What each room may use of other packages. On the ground `encoding` uses msgpack."""


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for top in ("raft_actors", "supervision") for path in sources(top)}


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


def modules_imported(path: Path) -> set[str]:
    """The modules of ours among them, for types and in functions too."""
    found = set()
    for name in imports(path):
        module = name if name in MODULES else name.rpartition(".")[0]
        if module in MODULES and module != dotted(path):
            found.add(module)
    return found


def room_of(module: str) -> str:
    part = module.split(".")[1] if "." in module else "__init__"
    return ROOM_OF.get(part, part)


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", sources("supervision"), ids=identify)
def test_supervision_knows_only_pykka_and_the_standard_library(path: Path) -> None:
    for name in imports(path):
        top = name.partition(".")[0]
        assert top in sys.stdlib_module_names | {"pykka", "supervision"}, name


@pytest.mark.parametrize("path", sources("raft_actors"), ids=identify)
def test_imports_go_down_the_floors(path: Path) -> None:
    room = room_of(dotted(path))
    for module in modules_imported(path):
        if module.startswith("supervision"):
            assert room not in WITHOUT_SUPERVISION, f"{room} does not get to import {module}"
        else:
            other = room_of(module)
            assert other == room or FLOORS[other] < FLOORS[room], (
                f"{room}, on floor {FLOORS[room]}, imports {module}, on floor {FLOORS[other]}"
            )


def test_the_page_of_the_architecture_has_every_room_on_its_floor() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    rows = re.findall(r"^\| (\d) \| `(\w+)` \| (.*) \|$", page, re.MULTILINE)
    assert {room: int(floor) for floor, room, _what in rows} == FLOORS
    told = {room: set(re.findall(r"`(\w+)`", what)) for _floor, room, what in rows}
    for room in (GROUND, PUBLIC):
        assert told[room] == set(FLAT[room].split()) - {"__init__"}


def test_the_page_of_the_architecture_names_files_that_are_there() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    for name in re.findall(r"`((?:\w+/)*\w+\.py)`", page):
        assert any((ROOT / top / name).exists() for top in ("", "raft_actors")), name


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return one circle for each group of modules that know each other."""
    graph, found = {name: set(others) for name, others in graph.items()}, []
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle = error.args[1]
            found.append(circle)
            for group in circle:
                graph = without(graph, group)
            continue
        return found


def without(graph: dict[str, set[str]], module: str) -> dict[str, set[str]]:
    return {name: others - {module} for name, others in graph.items() if name != module}


def test_no_modules_know_each_other_in_a_circle() -> None:
    found = circles({name: modules_imported(path) for name, path in MODULES.items()})
    assert not found, "\n".join(" <- ".join(circle) for circle in found)


@pytest.mark.parametrize("path", sources("raft_actors"), ids=identify)
def test_each_room_keeps_to_its_third_parties(path: Path) -> None:
    room = room_of(dotted(path))
    encodes = dotted(path).split(".")[1:2] == ["encoding"]
    third = {"msgpack"} if encodes else THIRD_PARTY.get(room, set())
    for name in imports(path):
        allowed = sys.stdlib_module_names | {"raft_actors", "supervision"} | third
        assert name.partition(".")[0] in allowed, f"{room} does not get to import {name}"


@pytest.mark.parametrize("path", sources("raft_actors/core"), ids=identify)
def test_the_core_imports_itself_the_ground_and_data_tools(path: Path) -> None:
    for name in imports(path):
        if name == "random.Random":  # the type of the chance that it is given
            continue
        parts = name.split(".")
        if parts[0] == "raft_actors":
            assert parts[1] in {"core", "errors", "config", "names"}, name
        else:
            assert parts[0] in DATA_TOOLS.split(), f"the core is pure: {name} is not for it"


@pytest.mark.parametrize("room", ["core", "machine", "stores", "replica"])
def test_no_thread_starts_in_what_a_simulation_runs(room: str) -> None:
    for path in sources(f"raft_actors/{room}"):
        assert not {"threading.Thread", "concurrent.futures"} & set(imports(path)), path
        assert "threading.Thread(" not in path.read_text(), path


@pytest.mark.parametrize(
    "module", ["raft_actors", "raft_actors.tools.launch", "raft_actors.tools.commands"]
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


ACROSS_ROOMS = {
    "benchmarks", "cluster", "docs", "fuzz", "mutations", "scenarios", "supervision",
}  # fmt: skip
"""Folders of tests that look at more than one room of `raft_actors`, or at none."""


def test_the_folders_of_the_tests_are_the_rooms() -> None:
    folders = {path.parent.relative_to(ROOT / "tests").parts[0] for path in modules_of_tests()}
    assert folders == FLOORS.keys() | ACROSS_ROOMS


def modules_of_tests() -> list[Path]:
    return [path for path in (ROOT / "tests").rglob("test_*.py") if path.parent.name != "tests"]
