"""`fit-gpr`: candidates, search, fit of each subset."""
