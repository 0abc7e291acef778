"""The tree is the method: imports point downwards and enter rooms by their doors; numerics are pure."""

import ast
import functools
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "aenet_gpr_cli"
LAYERS = {
    0: (
        "errors",
        "units",
        "structures",
        "settings",
        "progress",
        "jit",
        "lattice",
        "text",
        "reference_energies",
        "devices",
    ),
    1: ("subsystems", "descriptors", "gpr", "augmentation", "ann", "evaluation", "dynamics", "baseline"),
    2: ("io", "config"),
    3: ("stages", "figures", "calculators"),
    4: ("reports", "guide"),
    5: ("cli", "__main__"),
}
LAYER_OF = {name: layer for layer, names in LAYERS.items() for name in names}
PURE = LAYERS[1]
NOT_IN_PURE = {
    "h5py",
    "yaml",
    "click",
    "logging",
    "rich",
    "pydantic",
    "matplotlib",
    "pathlib",
    "pickle",
    "tempfile",
    "os",
    "subprocess",
    "torch.distributed",
}
# within the first layer, who may use whom
PURE_IMPORTS = {
    "subsystems": set(),
    "descriptors": set(),
    "gpr": {"descriptors", "subsystems", "baseline"},
    "augmentation": {"descriptors", "subsystems"},
    "ann": {"descriptors", "baseline"},
    "baseline": {"descriptors"},
    "evaluation": set(),
    "dynamics": set(),
}
# within a part, which of its rooms may use which
ROOM_IMPORTS = {
    "subsystems": {"label_checks": set()},
    "descriptors": {
        "interface": set(),
        "soap": {"interface"},
        "structure": {"interface", "soap"},
        "chebyshev": {"interface"},
    },
    "gpr": {
        "kernels": set(),
        "local": set(),
        "covariance": {"kernels"},
        "solvers": {"kernels", "covariance"},
        "regression": {"kernels", "covariance", "solvers"},
        "uncertainty": {"covariance", "solvers", "regression"},
        "hyperparameters": {"kernels", "covariance", "solvers", "regression"},
    },
    "ann": {
        "execution": set(),
        "network": set(),
        "data": {"execution"},
        "potential": {"execution", "network", "data"},
        "loss": {"execution", "network", "data"},
        "curvature": {"execution", "network", "data", "loss"},
        "optimisers": {"execution", "network", "data", "loss", "curvature"},
    },
    "io": {
        "artefacts": {"hdf5"},
        "formats": {"frames", "readers"},
        "frames": set(),
        "hdf5": set(),
        "readers": {"frames"},
    },
    "config": {"stages": set()},
}
MOST_MODULES = 12
AMERICAN = re.compile(
    r"(?i)\w*(?:(?:normal|optim|initial|linear|minim|maxim|regular|factor|recogn|organ|vector|symmetr|diagonal"
    r"|summar|serial|real|general|random|standard)iz|analyz|neighbor|behavior|artifact|color|gray|center|favor"
    r"|labeled|labeling|modeling)\w*"
)
# names of other libraries, and on disk
FOREIGN = {
    "scipy": {"minimize", "optimize"},
    "torch": {"is_initialized", "optimizer", "optim"},
    "numpy": {"optimize"},
    "matplotlib": {"color", "colors", "colorbar", "facecolor", "edgecolor", "markeredgecolor",
                   "markerfacecolor", "labelcolor", "pcolormesh", "center"},
    "ase, dscribe, vesin": {"jmol_colors", "centers", "get_neighbor_list"},
    "metatomic": {"NeighborListOptions", "requested_neighbor_lists"},
    "LAMMPS": {"neighbor"},
    "ænet": {"normalized"},
    "VASP": {"modeling"},
    "HTML": {"color", "center"},
}  # fmt: skip
HEAVY = {"torch", "numpy", "scipy", "ase", "dscribe", "matplotlib", "h5py", "pydantic", "rich", "numba"}
MODULES = sorted(PACKAGE.rglob("*.py"))


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """Every imported module, also those imported inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_of(name: str) -> Path | None:
    """The file of a module of the package that an imported name is, or is in; None for other libraries."""
    parts = name.split(".")
    if parts[0] != PACKAGE.name:
        return None
    for end in range(len(parts), 1, -1):
        path = PACKAGE.joinpath(*parts[1:end]).with_suffix(".py")
        if path.is_file():
            return path
    return None


def used_by(path: Path) -> set[Path]:
    """The modules of the package that one imports."""
    return {module for name in imports(path) if (module := module_of(name))} - {path}


def door_of(room: Path) -> list[str]:
    """``__all__`` of a folder."""
    for node in ast.parse((room / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return []


def circle_in(graph: dict) -> list | None:
    """A circle of a directed graph, as the nodes along it, or None."""
    done, way = set(), []

    def visit(node):
        if node in way:
            return [*way[way.index(node) :], node]
        if node in done:
            return None
        way.append(node)
        found = next((circle for follower in graph.get(node, ()) if (circle := visit(follower))), None)
        way.pop()
        done.add(node)
        return found

    return next((circle for node in graph if (circle := visit(node))), None)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    part = part_of(path)
    if part == "__init__":
        return
    for name in imports(path):
        if name.startswith("aenet_gpr_cli.") and (target := name.split(".")[1]) in LAYER_OF:
            assert LAYER_OF[target] <= LAYER_OF[part], f"{path.name} imports {name} from a higher layer"
            if part in PURE_IMPORTS and target in PURE and target != part:
                assert target in PURE_IMPORTS[part], f"{part} must not know {target}"


@pytest.mark.parametrize(
    "path", [p for p in MODULES if part_of(p) in PURE], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_numerics_are_pure(path):
    for name in imports(path):
        assert not {name, name.split(".")[0], name.rpartition(".")[0]} & NOT_IN_PURE, name


def test_every_part_has_a_layer():
    parts = {part_of(p) for p in MODULES} - {"__init__"}
    assert parts == set(LAYER_OF)


SOURCES = [path for path in MODULES if path.name != "__init__.py"]
ROOMS = sorted({path.parent for path in SOURCES} - {PACKAGE})


def room_of(path: Path) -> str:
    """Where in its part a module stands: the name of a room, or nothing for the part itself."""
    return "/".join(path.relative_to(PACKAGE).parts[1:-1])


@pytest.mark.parametrize("part", ROOM_IMPORTS)
def test_rooms_of_a_part_use_each_other_in_the_order_of_the_data(part):
    """A module of the part itself uses all rooms, or it is used by them (as settings are), never both."""
    used = {path: used_by(path) for path in SOURCES if part_of(path) == part}
    over = {path for path in used if not room_of(path) and any(room_of(t) for t in used[path] & used.keys())}
    for path in used:
        for target in used[path] & used.keys():
            ours, theirs = room_of(path), room_of(target)
            if ours and ours != theirs:
                known = theirs in ROOM_IMPORTS[part][ours] if theirs else target not in over
                assert known, f"{path.relative_to(PACKAGE)} imports {target.relative_to(PACKAGE)}"


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(PACKAGE)))
def test_a_room_says_what_it_owns_and_which_modules_others_may_use(room):
    text = (room / "__init__.py").read_text()
    assert 30 < len(ast.get_docstring(ast.parse(text))) < 400
    inside = {path.stem for path in room.glob("*.py")} | {path.parent.name for path in room.glob("*/*.py")}
    assert set(door_of(room)) <= inside


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_is_entered_by_its_door(path):
    for target in used_by(path):
        if target.stem == "__init__":
            continue
        inner = target
        while (room := inner.parent) != PACKAGE and not path.is_relative_to(room):
            what = f"{path.relative_to(PACKAGE)} imports {target.relative_to(PACKAGE)}"
            assert inner.stem in door_of(room), f"{what}; {inner.stem} is not in __all__ of {room.name}"
            inner = room


def test_a_folder_can_be_taken_in_at_a_glance():
    modules = Counter(path.parent for path in SOURCES)
    assert {str(room): n for room, n in modules.items() if n > MOST_MODULES} == {}


def test_no_two_modules_share_a_name():
    names = Counter(path.stem for path in SOURCES)
    assert [name for name, number in names.items() if number > 1] == []


def test_no_import_runs_in_a_circle():
    assert circle_in({path: used_by(path) for path in SOURCES}) is None


def test_rooms_use_each_other_in_one_direction():
    """A room and one within it are one house: what they import from each other does not count."""
    graph = {room: set() for room in ROOMS}
    for path in SOURCES:
        for target in used_by(path):
            ours, theirs = path.parent, target.parent
            if not (ours.is_relative_to(theirs) or theirs.is_relative_to(ours)):
                graph[ours].add(theirs)
    assert circle_in(graph) is None


def test_spelling_is_british():
    foreign = set().union(*FOREIGN.values())
    found = {
        f"{path.relative_to(PACKAGE)}: {word}"
        for path in MODULES
        for word in AMERICAN.findall(path.read_text())
        if word not in foreign
    }
    assert found == set()


def test_nothing_unpickles():
    for path in MODULES:
        roots = {name.split(".")[0] for name in imports(path)}
        assert not roots & {"pickle", "joblib", "shelve", "marshal", "dill", "cloudpickle"}, path
        assert "torch.load" not in path.read_text(), path


def test_help_imports_nothing_heavy():
    """The reason why help answers at once: heavy modules are imported inside the commands."""
    code = (
        "import sys\n"
        "from aenet_gpr_cli.cli.main import COMMANDS, cli\n"
        "import click\n"
        "for name in COMMANDS: cli.get_command(click.Context(cli), name)\n"
        f"print(sorted({HEAVY} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


STORED = Path(__file__).parent / "data" / "artefacts_0.1.0"


@pytest.mark.parametrize(
    "command",
    [
        ("predict", STORED / "ann_gpr.h5", STORED / "test_set.zip"),
        ("predict", STORED / "gpr.h5", STORED / "test_set.zip"),
        ("evaluate", STORED / "split.h5", STORED / "gpr.h5", STORED / "ann_gpr.h5", "--set", "plots=false"),
        ("augment", STORED / "split.h5", STORED / "gpr.h5"),
        ("fit-gpr", STORED / "split.h5", "--set", "length_scale=1.0", "--set", "power=1.0"),
    ],
    ids=lambda command: f"{command[0]} {Path(command[1]).name}",
)
def test_only_training_loads_torch(command, tmp_path):
    """Torch takes longer to load than these commands to run; for `predict` so does ASE's io."""
    code = (
        "import sys\n"
        "from aenet_gpr_cli.cli.main import cli\n"
        "cli(sys.argv[1:], standalone_mode=False)\n"
        "unwanted = {'predict': {'torch', 'matplotlib', 'dscribe', 'ase.io'}}.get(sys.argv[1], {'torch'})\n"
        "assert not unwanted & set(sys.modules)\n"
    )
    line = [sys.executable, "-c", code, *map(str, command), "-q", "-o", str(tmp_path / "output.h5")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "output.h5").exists()


@pytest.mark.parametrize("artefact", ["ann_gpr.h5", "gpr.h5", "split.h5", "augmented_gpr.h5"])
def test_show_only_reads(artefact):
    """Libraries of numerics take longer to load than it takes to say what an artefact holds."""
    code = (
        "import sys\n"
        "from aenet_gpr_cli.cli.main import cli\n"
        f"cli(['show', {str(STORED / artefact)!r}, '-q'], standalone_mode=False)\n"
        "unwanted = {'torch', 'scipy.linalg', 'numba', 'matplotlib', 'dscribe', 'ase.io'}\n"
        "print(sorted(unwanted & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_a_stage_loads_its_own_keys_only():
    code = (
        "import sys\n"
        "from aenet_gpr_cli.config.reading import read_config\n"
        "read_config('predict', None, ['block_size=3'])\n"
        "print(*sorted(name for name in sys.modules if name.startswith('aenet_gpr_cli.config.stages.')))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["aenet_gpr_cli.config.stages.prediction_config"]


def test_nothing_is_collected_at_the_end():
    """To look for cycles in all that was loaded takes a fifth of the time of a short prediction."""
    code = (
        "import atexit, gc, sys\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 1000))\n"
        "from aenet_gpr_cli.cli.main import main\n"
        "sys.argv[1:] = ['--version']\n"
        "main()\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "True"
