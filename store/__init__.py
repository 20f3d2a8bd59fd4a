"""What server and worker agree on: settings, job spec, states, tables, queries, artifacts, doorbell."""
