"""Logged transitions: read and checked, learnt from, and what a policy is worth by them."""
