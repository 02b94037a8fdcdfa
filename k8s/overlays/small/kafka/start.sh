#!/bin/bash
# One broker and controller in one process, with TLS, SCRAM users and rights: ops/kafka/start.sh for a pod. The image's
# own entry point can't give a fresh storage its first SCRAM user, so the storage is formatted here.
set -euo pipefail
: "${KAFKA_ADMIN_PASSWORD:?}" "${KAFKA_CLUSTER_ID:?}" "${KAFKA_PUBLIC_HOST:?}"
umask 077
properties=/tmp/server.properties
scram="org.apache.kafka.common.security.scram.ScramLoginModule required"
plain="org.apache.kafka.common.security.plain.PlainLoginModule required"
admin="username=\"beegrid-admin\" password=\"$KAFKA_ADMIN_PASSWORD\""
cat /opt/beegrid/server.properties - >"$properties" <<EOF
advertised.listeners=CLIENTS://beegrid-kafka-bootstrap:9093,OUTSIDE://$KAFKA_PUBLIC_HOST:9094
listener.name.outside.scram-sha-512.sasl.jaas.config=$scram;
listener.name.clients.scram-sha-512.sasl.jaas.config=$scram $admin;
listener.name.controller.plain.sasl.jaas.config=$plain $admin user_beegrid-admin="$KAFKA_ADMIN_PASSWORD";
EOF
# its words hold the salted password: they stay out of the log, errors don't
/opt/kafka/bin/kafka-storage.sh format --ignore-formatted -t "$KAFKA_CLUSTER_ID" -c "$properties" \
    --add-scram "SCRAM-SHA-512=[name=beegrid-admin,password=$KAFKA_ADMIN_PASSWORD]" >/dev/null
exec /opt/kafka/bin/kafka-server-start.sh "$properties"
