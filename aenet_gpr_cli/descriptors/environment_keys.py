"""Keys of the Chebyshev descriptor that networks and the local process share. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import MinLen

from aenet_gpr_cli.settings import PositiveFloat

if TYPE_CHECKING:
    from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis

Cutoffs = Annotated[tuple[PositiveFloat, ...], MinLen(1)]


class EnvironmentKeys:
    """What groups of keys of the Chebyshev descriptor of atomic environments have in common."""

    radial_cutoff: float
    radial_order: int
    angular_cutoff: float
    angular_cutoffs: tuple[float, ...] | None
    angular_order: int

    @property
    def angles(self) -> tuple[float, ...]:
        """All angular cutoffs, descending, Å; none where there are no angular functions."""
        if self.angular_order < 0:
            return ()
        return tuple(sorted(self.angular_cutoffs or (self.angular_cutoff,), reverse=True))

    def check_angles(self) -> None:
        """Raise ValueError for angular cutoffs beyond the radial one, or the same twice."""
        angles = self.angles
        if angles and angles[0] > self.radial_cutoff:
            raise ValueError(
                f"expected angular_cutoff <= radial_cutoff, got {angles[0]} > {self.radial_cutoff}"
            )
        if len(set(angles)) < len(angles):
            raise ValueError(f"angular_cutoffs: expected different distances, got {list(angles)}")

    def environment_basis(self, species: tuple[str, ...]) -> ChebyshevBasis:
        """Return the descriptor for some species, whose order sets their weights."""
        from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis  # compiles

        return ChebyshevBasis(
            species=species,
            radial_cutoff=self.radial_cutoff,
            radial_order=self.radial_order,
            angular_cutoff=self.angles[0] if self.angles else self.angular_cutoff,
            angular_order=self.angular_order,
            inner_cutoffs=self.angles[1:],
        )
