"""`active`: rounds of the other stages."""
