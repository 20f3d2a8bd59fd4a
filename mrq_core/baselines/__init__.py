"""Well-known algorithms to hold MR.Q against: DQN, TD3, SAC and PPO of Stable-Baselines3, and
tabular Q-learning. They train in the same environments, are evaluated by the same protocol and
yield the same events. Only `library.py` and what it is imported by load Stable-Baselines3.
"""
