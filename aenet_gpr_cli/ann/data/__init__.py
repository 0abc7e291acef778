"""What networks are trained on: structures and copies as arrays, batches, selected forces."""
