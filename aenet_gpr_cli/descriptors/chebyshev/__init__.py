"""The Chebyshev descriptor of atomic environments, as ænet's."""
