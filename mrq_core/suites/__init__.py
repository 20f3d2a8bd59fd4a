"""Environments of other packages which need more than an import of that package. Each module
registers its own when it is imported, as naming it in the id does."""
