"""Write the training and the test structures of a split for the peers: the same ones that our models see.

Run as ``python example_data/peers/both_sets.py split.h5 FOLDER``: writes ``train.xyz`` and ``test.xyz``,
extended XYZ with energies (eV), forces (eV/Å) and, where it is known, stress (eV/Å³).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.io.frames.xyz_text import write_frame


def write(split: Path, folder: Path) -> None:
    """Write both parts, subset after subset."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        with (folder / f"{part}.xyz").open("w", encoding="utf-8") as file:
            for name, subset in load_split(split, part).items():
                for structure in map(subset.structure, range(len(subset))):
                    info = {"energy": structure.energy, "stress": structure.stress, "config_type": name}
                    write_frame(file, structure, info, {"forces": structure.forces})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("split", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    write(options.split, options.folder)
