"""MR.Q (arXiv 2501.16142), written from the paper and its specification.

Nothing is re-exported here, so that a server may import `mrq_core.config` without torch.
"""
