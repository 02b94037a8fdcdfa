#!/bin/bash
# One broker and controller in one process, with SCRAM users and ACLs. The image's own entry point can't give a fresh
# storage its first SCRAM user, and without one nobody could ever log in: so the storage is formatted here.
set -euo pipefail
: "${KAFKA_ADMIN_PASSWORD:?}" "${KAFKA_CLUSTER_ID:?}" "${KAFKA_PUBLIC_HOST:?}" "${KAFKA_PUBLIC_PORT:?}"
umask 077
# The root is read-only: all words go to stdout, and there is no file about the garbage collector.
export LOG_DIR=/tmp/logs EXTRA_ARGS="-name kafkaServer"
properties=/tmp/server.properties
cat /opt/beegrid/server.properties - >"$properties" <<EOF
advertised.listeners=CLIENTS://kafka:9092,OUTSIDE://$KAFKA_PUBLIC_HOST:$KAFKA_PUBLIC_PORT
listener.name.outside.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="$KAFKA_ADMIN_PASSWORD";
listener.name.controller.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="$KAFKA_ADMIN_PASSWORD" user_admin="$KAFKA_ADMIN_PASSWORD";
EOF
# its words hold the salted password: they stay out of the log, errors don't
/opt/kafka/bin/kafka-storage.sh format --ignore-formatted -t "$KAFKA_CLUSTER_ID" -c "$properties" \
    --add-scram "SCRAM-SHA-512=[name=admin,password=$KAFKA_ADMIN_PASSWORD]" >/dev/null
export KAFKA_LOG4J_OPTS=-Dlog4j2.configurationFile=file:/opt/beegrid/log4j2.properties
exec /opt/kafka/bin/kafka-server-start.sh "$properties"
