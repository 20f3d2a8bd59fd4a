"""The API's routes, one noun a file. Handlers are thin: parse, ask the store, show."""
