"""The demo: a simulated fleet and a month of work on it, made through the real verbs. Never in production.

`story` keeps the people, the clock and the simulator; `estate` is what we have, `feed` what we hear of, `changes` what we
intend, `deploying` what we do; `months` and `half_way` put them in order. The command is `manage.py seed_demo`.
"""
