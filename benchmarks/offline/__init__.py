"""Learning from logs where the truth is known: a simulator, a scripted policy that logs in it."""
