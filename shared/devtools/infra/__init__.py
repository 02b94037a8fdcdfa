"""Real Postgres, Kafka, Valkey and Caddy on this machine, without anything installed by hand.

Start with `suite.start_infra`; `python -m shared.devtools.infra` does the same by hand.
"""
