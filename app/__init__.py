"""The HTTP server: routes, pages and policy serving."""
