"""What server and worker agree on: settings, spec, states, tables, queries, artifacts, doorbell."""
