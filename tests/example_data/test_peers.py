"""The script that runs a peer: what it asks for, and how errors are averaged, without the peer."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "example_data" / "peers"


@pytest.fixture(scope="module")
def gap():
    sys.path.insert(0, str(FOLDER))
    try:
        import gap

        yield gap
    finally:
        sys.path.remove(str(FOLDER))


def test_stress_is_left_out_and_nothing_else(gap, tmp_path):
    header = 'Lattice="1 0 0 0 1 0 0 0 1" Properties=species:S:1:pos:R:3 energy=-1.5 {}config_type=a\n'
    source = tmp_path / "set.xyz"
    source.write_text("1\n" + header.format('stress="1 0 0 0 1 0 0 0 1" ') + "Li 0 0 0\n")
    assert gap.without_stress(source, tmp_path / "out.xyz").read_text() == f"1\n{header.format('')}Li 0 0 0\n"


def test_errors_are_averaged_over_structures_and_over_atoms(gap):
    found = [
        {"energy": 0.002, "forces": [[0.3, 0.0, 0.4]]},
        {"energy": -0.001, "forces": [[0.0, 0.0, 0.1], [0.0, -0.1, 0.0]]},
    ]
    assert gap.errors(found) == pytest.approx(
        {
            "structures": 2,
            "energy_per_atom_mev": 1.5,
            "force_component": 0.1,
            "force_norm_of_difference": 0.7 / 3,
        }
    )


def test_a_failing_program_shows_the_end_of_its_log(gap, tmp_path):
    with pytest.raises(SystemExit, match="no such thing"):
        gap.timed([sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path / "log")
    cpu, memory = gap.timed([sys.executable, "-c", "x = bytearray(50_000_000)"], tmp_path / "log")
    assert cpu > 0
    assert memory > 50
