"""The tree is the method: imports point downwards, and numerics stay free of files."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "aenet_gpr_cli"
LAYERS = {
    0: ("errors", "units", "structures", "settings", "progress", "jit", "lattice"),
    1: ("subsystems", "descriptors", "gpr", "augmentation", "ann", "evaluation"),
    2: ("io", "config"),
    3: ("stages", "figures", "calculators"),
    4: ("reports",),
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
}
# within the first layer, who may use whom
PURE_IMPORTS = {
    "subsystems": set(),
    "descriptors": set(),
    "gpr": {"descriptors"},
    "augmentation": {"descriptors", "subsystems"},
    "ann": {"descriptors"},
    "evaluation": set(),
}
HEAVY = {"torch", "numpy", "scipy", "ase", "dscribe", "matplotlib", "h5py", "pydantic", "rich", "numba"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every imported module, also those imported inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


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
    roots = {name.split(".")[0] for name in imports(path)}
    assert not roots & NOT_IN_PURE


def test_every_part_has_a_layer():
    parts = {part_of(p) for p in MODULES} - {"__init__"}
    assert parts == set(LAYER_OF)


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
