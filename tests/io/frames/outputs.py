# ruff: noqa: E501
"""Outputs of electronic-structure codes for H2 in a box: as much of each as its reader needs."""

from collections.abc import Sequence

BOHR, HARTREE = 0.529177210903, 27.211386245988


def espresso(converged: Sequence[bool], cycles: int = 1) -> str:
    """A relaxation; `cycles` as hybrid functionals have them. The last structure is printed once more."""
    alat = 10.0 / BOHR
    start = (
        "     Program PWSCF v.7.2 starts on  1Jan2024 at 10: 0: 0\n"
        "     number of atoms/cell      =            2\n     number of atomic types    =            1\n"
        f"     celldm(1)=  {alat:.6f}  celldm(2)=   0.000000\n"
        "     crystal axes: (cart. coord. in units of alat)\n"
        "               a(1) = (   1.000000   0.000000   0.000000 )\n"
        "               a(2) = (   0.000000   1.000000   0.000000 )\n"
        "               a(3) = (   0.000000   0.000000   1.000000 )\n"
        "     site n.     atom                  positions (alat units)\n"
        "         1           H   tau(   1) = (   0.0000000   0.0000000   0.0000000  )\n"
        "         2           H   tau(   2) = (   0.0740000   0.0000000   0.0000000  )\n"
    )
    text = ""
    for i, good in enumerate(converged):
        said = (
            "     convergence has been achieved in  7 iterations\n"
            if good
            else "     convergence NOT achieved after 100 iterations: stopping\n"
        )
        atoms = f"ATOMIC_POSITIONS (angstrom)\nH  0.0 0.0 0.0\nH  {0.74 + 0.01 * i} 0.0 0.0\n\n"
        text += (atoms if i else start) + cycles * "     convergence has been achieved in  9 iterations\n"
        text += f"!    total energy              =  {-2.33 + 0.001 * i:.8f} Ry\n" if good else ""
        text += said + (
            "     Forces acting on atoms (cartesian axes, Ry/au):\n\n"
            "     atom    1 type  1   force =    -0.01000000    0.00000000    0.00000000\n"
            "     atom    2 type  1   force =     0.01000000    0.00000000    0.00000000\n\n"
        )
        text += (
            "     Computing stress (Cartesian axis) and pressure\n\n"
            "          total   stress  (Ry/bohr**3)                   (kbar)     P=        1.47\n"
            "   0.00002000   0.00000000   0.00000000            2.94        0.00        0.00\n"
            "   0.00000000   0.00001000   0.00000000            0.00        1.47        0.00\n"
            "   0.00000000   0.00000000   0.00000000            0.00        0.00        0.00\n\n"
        )
    return f"{text}Begin final coordinates\n{atoms}End final coordinates\n     JOB DONE.\n"


def outcar(
    steps: Sequence[int],
    nelm: int,
    said: Sequence[str] | None = None,
    nelect: float = 2.0,
    change: Sequence[float] = (),
) -> str:
    """A run whose frame i has ``steps[i]`` electronic steps, the last with a change of ``change[i]`` eV; `said` on EDIFF."""
    text = (
        " vasp.6.4.2 20Jul23 complex\n POTCAR:    PAW_PBE H 15Jun2001\n POTCAR:    PAW_PBE H 15Jun2001\n"
        "   k-points           NKPTS =      1   k-points in BZ     NKDIM =      1   number of bands    NBANDS=      1\n"
        "   ions per type =               2\n   ISPIN  =      1    spin polarized calculation?\n"
        f"   NELM   = {nelm:6d};   NELMIN=  2; NELMDL= -5     # of ELM steps\n"
        "   EDIFF  = 0.1E-05   stopping-criterion for ELM\n   EDIFFG = 0.5E-01   stopping-criterion for IOM\n"
        "   POMASS =   1.000\n  Ionic Valenz\n   ZVAL   =   1.00\n"
        f"   NELECT = {nelect:12.4f}    total number of electrons\n"
        " k-points in reciprocal lattice and weights: Automatic\n   0.0 0.0 0.0 1.0\n"
    )
    for i, n in enumerate(steps):
        text += "".join(
            f"--------------------------------------- Iteration {i + 1:6d}({k + 1:4d})  -----------------------\n"
            for k in range(n)
        )
        if change:
            text += f" total energy-change (2. order) :{change[i]:14.7E}  ({change[i] / 3:14.7E})\n"
        if said:
            text += f"------------------------ aborting loop {said[i]} ------------------------\n"
        text += (
            "      direct lattice vectors                 reciprocal lattice vectors\n"
            "     6.0 0.0 0.0     0.1 0.0 0.0\n     0.0 6.0 0.0     0.0 0.1 0.0\n     0.0 0.0 6.0     0.0 0.0 0.1\n\n"
            "  in kB       1.00000     2.00000     3.00000     0.10000     0.20000     0.30000\n"
            " POSITION                                       TOTAL-FORCE (eV/Angst)\n"
            " -----------------------------------------------------------------------------------\n"
            f"  0.0 0.0 0.0  -1.0 0.0 0.0\n  {0.74 + 0.01 * i} 0.0 0.0   1.0 0.0 0.0\n"
            "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n  ------------------------------------\n"
            f"  free  energy   TOTEN  =  {-6.7 + 0.01 * i} eV\n\n"
            f"  energy  without entropy=  {-6.7 + 0.01 * i}  energy(sigma->0) =  {-6.7 + 0.01 * i}\n"
        )
    return text


def aims(converged: Sequence[bool], charge: float = 0.0, cell: float = 0.0) -> str:
    """Dynamics; in a cubic cell the vectors stand in the input only."""
    vectors = "".join(f"  |  {' '.join(f'{cell * (i == j):.8f}' for j in range(3))}\n" for i in range(3))
    text = (
        "          Invoking FHI-aims ...\n"
        f"  Charge =   {charge:.6E}: Charge requested.\n"
        "  | Number of atoms                   :        2\n  | Number of spin channels           :        1\n"
        "  The structure contains        2 atoms,  and a total of          2.000 electrons.\n"
        "  | Number of Kohn-Sham states (occupied + empty):       4\n"
        + (f"  Input geometry:\n  | Unit cell:\n{vectors}" if cell else "")
        + "  Atomic structure:\n"
        "  |       Atom                x [A]            y [A]            z [A]\n"
        "  |    1: Species H     0.0  0.0  0.0\n  |    2: Species H     0.74  0.0  0.0\n"
        "  Begin self-consistency loop: Initialization.\n  Begin self-consistency iteration #    1\n\n\n"
    )
    for i, good in enumerate(converged):
        text += "  Begin self-consistency loop: Re-initialization.\n" if i else ""
        text += (
            "  Self-consistency cycle not yet converged - restarting mixer to attempt better convergence.\n"
        )
        text += "  Begin self-consistency loop: Re-initialization.\n"
        text += "  Begin self-consistency iteration #    1\n"
        text += (
            "  Self-consistency cycle converged.\n"
            if good
            else "  * WARNING! SELF-CONSISTENCY CYCLE DID NOT CONVERGE\n"
            "  * USING YOUR PRESELECTED ACCURACY CRITERIA.\n"
        )
        text += (
            f"  | Electronic free energy        :       {-31.0 + 0.01 * i} eV\n"
            "  Total atomic forces (unitary forces cleaned) [eV/Ang]:\n"
            "  |    1   -1.0   0.0   0.0\n  |    2    1.0   0.0   0.0\n"
            + ("  Final atomic" if cell and i == len(converged) - 1 else "  Atomic")
            + " structure (and velocities) as used in the preceding time step:\n"
            "                         x [A]             y [A]             z [A]\n"
            f"            atom         0.0  0.0  0.0  H\n            atom         {0.74 + 0.01 * i}  0.0  0.0  H\n"
            "  Next atomic structure:\n"
        )
    return text + "          Have a nice day.\n"


def orca(converged: Sequence[bool], charge: int = 0, mult: int = 1) -> str:
    """An optimisation, whose cycles say that the optimisation "has not yet converged"."""
    text = "                                 * O   R   C   A *\n"
    for i, good in enumerate(converged):
        x = 0.74 + 0.01 * i
        text += (
            f"CARTESIAN COORDINATES (ANGSTROEM)\n---------------------------------\n  H  0.0 0.0 0.0\n  H  {x} 0.0 0.0\n\n"
            "Number of atoms                             ...      2\n"
            f" Total Charge           Charge          ....    {charge}\n"
            f" Multiplicity           Mult            ....    {mult}\n"
        )
        if good:
            text += "               *           SCF CONVERGED AFTER   9 CYCLES          *\n"
            text += f"FINAL SINGLE POINT ENERGY        {-1.17 + 0.001 * i:.9f}\n"
        else:
            text += "               *           SCF NOT CONVERGED AFTER 125 CYCLES         *\n"
            text += (
                f"FINAL SINGLE POINT ENERGY (Wavefunction not fully converged!)      {-1.1 + 0.001 * i:.9f}\n"
            )
        text += (
            "                       ORCA SCF GRADIENT CALCULATION\n"
            "------------------\nCARTESIAN GRADIENT\n------------------\n\n"
            "   1   H   :    0.01    0.0    0.0\n   2   H   :   -0.01    0.0    0.0\n\n"
            "                         ORCA GEOMETRY RELAXATION STEP\n"
            "    The optimization has not yet converged - more geometry cycles are needed\n"
        )
    return text


def gaussian(converged: Sequence[bool], charge: int = 0, mult: int = 1) -> str:
    text = f" Entering Gaussian System, Link 0=g16\n Charge = {charge:2d} Multiplicity = {mult}\n"
    for i, good in enumerate(converged):
        x = 0.74 + 0.01 * i
        text += (
            "                         Input orientation:\n"
            " ---------------------------------------------------------------------\n"
            " Center     Atomic      Atomic             Coordinates (Angstroms)\n"
            " Number     Number       Type             X           Y           Z\n"
            " ---------------------------------------------------------------------\n"
            f"      1          1           0        0.000000    0.000000    0.000000\n"
            f"      2          1           0        {x:.6f}    0.000000    0.000000\n"
            " ---------------------------------------------------------------------\n"
        )
        text += "" if good else " >>>>>>>>>> Convergence criterion not met.\n"
        text += f" SCF Done:  E(RB3LYP) =  {-1.17 + 0.001 * i:.10f}     A.U. after   64 cycles\n"
        text += (
            " -------------------------------------------------------------------\n"
            " Center     Atomic                   Forces (Hartrees/Bohr)\n"
            " Number     Number              X              Y              Z\n"
            " -------------------------------------------------------------------\n"
            "      1        1          -0.010000000    0.000000000    0.000000000\n"
            "      2        1           0.010000000    0.000000000    0.000000000\n"
            " -------------------------------------------------------------------\n"
        )
    return text + " Normal termination of Gaussian 16\n"


def gpaw(converged: Sequence[bool], goes_on: bool = False) -> str:
    """Single points of one script that catches errors; where `goes_on`, it sets ``scf.converged`` then."""
    text = (
        "\n  ___ ___ ___ _ _ _  \n |   |   |_  | | | | \n | | | | | . | | | | \n |__ |  _|___|_____|  24.1.0\n |___|_|             \n\n"
        "Date:   Mon Jan  1 10:00:00 2024\n\nTotal Charge: 0.000000\n\n"
    )
    for i, good in enumerate(converged):
        text += (
            "Positions:\n   0 H      0.000000    0.000000    0.000000    ( 0.0000,  0.0000,  0.0000)\n"
            f"   1 H      {0.74 + 0.01 * i:.6f}    0.000000    0.000000    ( 0.0000,  0.0000,  0.0000)\n\n"
            "Unit cell:\n           periodic     x           y           z      points  spacing\n"
            + "".join(
                f"  {k + 1}. axis:    no   {'   '.join(f'{6.0 * (j == k):.6f}' for j in range(3))}    32     0.1875\n"
                for k in range(3)
            )
            + "\niter:   1 10:00:01   -6.000000\n\n"
        )
        text += "Converged after 9 iterations.\n\n" if good else ""
        text += "" if good else "\nDid not converge!\n\nHere are some tips:\n\n1) Make sure …\n\n"
        if good or goes_on:
            text += (
                "Energy contributions relative to reference atoms: (reference = -25.0)\n\n"
                f"Kinetic:         +5.000000\n--------------------------\nFree energy:   {-6.7 + 0.01 * i:+.6f}\n"
                f"Extrapolated:  {-6.7 + 0.01 * i:+.6f}\n\nForces in eV/Ang:\n"
                "  0 H    -1.00000    0.00000    0.00000\n  1 H     1.00000    0.00000    0.00000\n\n"
            )
    return text + "Memory usage: 100.00 MiB\nDate: Mon Jan  1 10:00:09 2024\n"


def cp2k(converged: Sequence[bool], new: bool = True, periodic: str = "XYZ", charge: int = 0) -> str:
    """Single points, one after another; `new` as from version 2025."""
    text = (
        " CP2K| version string:                                          CP2K version 2025.1\n"
        f" CELL| Periodicity                                                        {periodic}\n"
        " CELL| Vector a [angstrom]:       5.000     0.000     0.000    |a| =       5.000\n"
        " CELL| Vector b [angstrom]:       0.000     6.000     0.000    |b| =       6.000\n"
        " CELL| Vector c [angstrom]:       0.000     0.000     7.000    |c| =       7.000\n"
        " DFT| Multiplicity                                                             1\n"
        f" DFT| Charge                                                                   {charge}\n"
    )
    for i, good in enumerate(converged):
        said = "SCF run converged in     9 steps" if good else "SCF run NOT converged"
        unit = "[hartree]       " if new else "[a.u.]:       "
        text += (
            " MODULE QUICKSTEP:  ATOMIC COORDINATES IN angstrom\n\n"
            "  Atom  Kind  Element       X           Y           Z          Z(eff)       Mass\n\n"
            "       1     1 H    1    0.000000    0.000000    0.000000      1.00       1.0079\n"
            f"       2     1 H    1    {0.74 + 0.01 * i:.6f}    0.000000    0.000000      1.00       1.0079\n\n\n"
            f"  *** {said} ***\n\n"
            "     Atom     Element   Kind\n      1       H      1       1.000\n"
            f" ENERGY| Total FORCE_EVAL ( QS ) energy {unit}{-1.17 + 0.001 * i:.12f}\n\n"
        )
        text += (
            " FORCES| Atomic forces [hartree/bohr]\n"
            " FORCES|   Atom     x               y               z               |f|\n"
            " FORCES|      1 -1.00000000E-02  0.00000000E+00  0.00000000E+00   1.00000000E-02\n"
            " FORCES|      2  1.00000000E-02  0.00000000E+00  0.00000000E+00   1.00000000E-02\n"
            " FORCES| Sum     0.00000000E+00  0.00000000E+00  0.00000000E+00   0.00000000E+00\n"
            if new
            else " ATOMIC FORCES in [a.u.]\n\n # Atom   Kind   Element          X              Y              Z\n"
            "      1      1      H          -0.01000000     0.00000000     0.00000000\n"
            "      2      1      H           0.01000000     0.00000000     0.00000000\n"
            " SUM OF ATOMIC FORCES           0.00000000     0.00000000     0.00000000     0.00000000\n"
        )
        text += (
            "\n STRESS| Analytical stress tensor [GPa]\n"
            " STRESS|                        x                   y                   z\n"
            " STRESS|      x        1.00000000000E+00   1.00000000000E-01   2.00000000000E-01\n"
            " STRESS|      y        1.00000000000E-01   2.00000000000E+00   3.00000000000E-01\n"
            " STRESS|      z        2.00000000000E-01   3.00000000000E-01   3.00000000000E+00\n"
            " STRESS| 1/3 Trace                                             2.00000000000E+00\n\n"
        )
    return text


def qbox(n: int) -> str:
    """Iterations in atomic units."""
    text = (
        "<fpmd:simulation xmlns:fpmd='x'>\n<release> 1.66.2 linux </release>\n"
        "<species name='hydrogen'>\n<symbol>H</symbol>\n<atomic_number>1</atomic_number>\n<mass>1.0</mass>\n"
        "</species>\n<cmd>run 0 10</cmd>\n"
    )
    for i in range(n):
        text += (
            f"<iteration count='{i + 1}'>\n<etotal> {-1.17 + 0.001 * i} </etotal>\n<atomset>\n"
            "<unit_cell a='12 0 0' b='0 12 0' c='0 0 12' />\n"
        )
        for x, f in ((0.0, -0.01), ((0.74 + 0.01 * i) / BOHR, 0.01)):
            text += (
                f"<atom name='H' species='hydrogen'>\n<position> {x} 0 0 </position>\n"
                f"<velocity> 0 0 0 </velocity>\n<force> {f} 0 0 </force>\n</atom>\n"
            )
        tensor = "".join(f"<sigma_{k}> 1.0 </sigma_{k}>\n" for k in ("xx", "yy", "zz", "yz", "xz", "xy"))
        text += f"</atomset>\n<stress_tensor unit='GPa'>\n{tensor}</stress_tensor>\n</iteration>\n"
    return text + "</fpmd:simulation>\n"
