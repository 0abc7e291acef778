"""`augment`: displaced and labelled copies, in blocks."""
