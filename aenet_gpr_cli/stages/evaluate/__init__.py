"""`evaluate`: errors of all models on structures that training never saw."""
