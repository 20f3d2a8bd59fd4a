"""A job of the real trainer, as small as it can be."""

SMALL = {
    "zs_dim": 16, "zsa_dim": 16, "za_dim": 8, "encoder_hidden_dim": 16, "value_hidden_dim": 16,
    "policy_hidden_dim": 16, "batch_size": 8, "warmup_steps": 30, "buffer_size": 1_000,
    "target_update_every": 20,
}  # fmt: skip
