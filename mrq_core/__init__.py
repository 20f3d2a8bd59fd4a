"""MR.Q: the algorithm, on torch, numpy and gymnasium alone. Nothing is re-exported here, so that a server may import `mrq_core.config` and `mrq_core.spaces` without torch."""
