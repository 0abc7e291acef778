"""The Chebyshev descriptor of atomic environments, as ænet's."""

__all__ = ["chebyshev_basis", "chebyshev_loops", "chebyshev_work", "strain"]
