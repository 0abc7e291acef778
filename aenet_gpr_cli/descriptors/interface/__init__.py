"""What every descriptor of a structure offers, and what they share."""

__all__ = ["descriptor", "feature_distances", "neighbour_list", "species_places"]
