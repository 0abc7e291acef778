"""Keys of the Chebyshev descriptor that networks and the local process share. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import MinLen

from aenet_gpr_cli.settings import PositiveFloat

if TYPE_CHECKING:
    from aenet_gpr_cli.descriptors.atomic_environments import EnvironmentBasis
    from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis

Cutoffs = Annotated[tuple[PositiveFloat, ...], MinLen(1)]
Auto = Literal["auto"]
# angular cutoffs that are compared beside one, as fractions of the radial one: of molecules, of crystals
SEVERAL = ((2 / 3, 1 / 2, 11 / 30), (11 / 12, 4 / 5, 41 / 60, 7 / 12))


class EnvironmentKeys:
    """What groups of keys of the Chebyshev descriptor of atomic environments have in common."""

    radial_cutoff: float
    radial_order: int
    angular_order: int
    resolve_species: Auto | bool

    @property
    def angle_choices(self) -> tuple[tuple[float, ...], ...]:
        """Angular cutoffs to choose from by evidence, Å; one choice where they are given."""
        raise NotImplementedError

    @property
    def resolutions(self) -> tuple[bool, ...]:
        """Whether species are resolved: both where evidence decides."""
        return (False, True) if self.resolve_species == "auto" else (self.resolve_species,)

    def several(self, one: float) -> tuple[tuple[float, ...], ...]:
        """Return the angular cutoffs, Å, to compare: one, and several side by side where there are angles."""
        if self.angular_order < 0:
            return ((one,),)
        return ((one,), *(tuple(f * self.radial_cutoff for f in fractions) for fractions in SEVERAL))

    def check_angles(self, angles: tuple[float, ...]) -> None:
        """Raise ValueError for angular cutoffs beyond the radial one, or the same twice."""
        angles = self._descending(angles)
        if angles and angles[0] > self.radial_cutoff:
            raise ValueError(
                f"expected angular_cutoff <= radial_cutoff, got {angles[0]} > {self.radial_cutoff}"
            )
        if len(set(angles)) < len(angles):
            raise ValueError(f"angular_cutoffs: expected different distances, got {list(angles)}")

    def environment_basis(
        self, species: tuple[str, ...], angles: tuple[float, ...], resolved: bool
    ) -> ChebyshevBasis:
        """Return the descriptor for some species, whose order sets their weights, and angular cutoffs, Å."""
        from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis  # compiles

        first, *inner = self._descending(angles) or angles[:1]
        return ChebyshevBasis(
            species=species,
            radial_cutoff=self.radial_cutoff,
            radial_order=self.radial_order,
            angular_cutoff=first,
            angular_order=self.angular_order,
            inner_cutoffs=tuple(inner),
            resolved=resolved and len(species) > 2,
        )

    def bases(self, species: tuple[str, ...]) -> list[EnvironmentBasis]:
        """Return the descriptors to choose from by evidence, before species are resolved."""
        return [self.environment_basis(species, angles, self.resolutions[0]) for angles in self.angle_choices]

    def _descending(self, angles: tuple[float, ...]) -> tuple[float, ...]:
        """Return the angular cutoffs in order; none where there are no angular functions."""
        return tuple(sorted(angles, reverse=True)) if self.angular_order >= 0 else ()
