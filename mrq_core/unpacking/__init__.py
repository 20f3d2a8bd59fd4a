"""Uploads that are no CSV, made one: what reads a dataset later knows one format alone."""
