"""Grouping of mixed data into homogeneous subsets, and sampling of training and test structures."""
