"""Learning runs through the service, as a user would make them."""
