"""`python -m shared.provision.administrator`: a new password for Kafka's administrator, from NEW_PASSWORD.

It logs in by BEEGRID_KAFKA_BOOTSTRAP, BEEGRID_KAFKA_ADMIN_USER and BEEGRID_KAFKA_ADMIN_PASSWORD. The broker itself logs
in as that user where it is the only one: it has to be started again with the new one.
"""

import os
import sys

from confluent_kafka import KafkaException

from shared.provision.kafka import KafkaAdmin, connect_admin, set_passwords


def main() -> int:
    """0: the new one is good, and the former one is not any more; 78: a variable is missing; 1: Kafka's words."""
    try:
        bootstrap, user = os.environ["BEEGRID_KAFKA_BOOTSTRAP"], os.environ["BEEGRID_KAFKA_ADMIN_USER"]
        old, new = os.environ["BEEGRID_KAFKA_ADMIN_PASSWORD"], os.environ["NEW_PASSWORD"]
    except KeyError as missing:
        print(f"{missing.args[0]} isn't set", file=sys.stderr)
        return 78
    try:
        set_passwords(connect_admin(bootstrap, KafkaAdmin(user, old)), {user: new})
    except (KafkaException, TimeoutError) as error:
        print(str(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
