"""What is known without data: the repulsion of nuclei at distances that no training structure has."""

__all__ = ["repulsion", "shortest_distances"]
