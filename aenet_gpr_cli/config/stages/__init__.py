"""Keys of each stage: the settings of the numerics, and what a stage needs besides."""
