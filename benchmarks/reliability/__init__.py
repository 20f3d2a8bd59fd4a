"""`make chaos`: real processes of the real service, killed by a plan that a seed decides."""
