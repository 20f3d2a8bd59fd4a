"""What a policy is worth by what another one did."""
