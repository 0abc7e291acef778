"""What every descriptor of a structure offers, and what they share."""
