"""The `mrq` command."""
