#!/bin/sh
# The rights of each process on the broker. Run it once, as a super user of the broker. The broker needs an authorizer
# (authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer) that denies by default:
#   BOOTSTRAP=kafka:9093 COMMAND_CONFIG=admin.properties sh docs/operate/kafka_acls.sh
# Create the users with kafka-configs.sh --alter --add-config 'SCRAM-SHA-512=[password=…]' --entity-type users --entity-name …
# `topics`, `rebuild` and `dlq retry` are for the operator, a super user. Create perpetua-api too.
set -eu
KAFKA_ACLS=${KAFKA_ACLS:-kafka-acls.sh}
BOOTSTRAP=${BOOTSTRAP:?where the broker is}

allow() { # user, then what
  user=$1
  shift
  $KAFKA_ACLS --bootstrap-server "$BOOTSTRAP" ${COMMAND_CONFIG:+--command-config "$COMMAND_CONFIG"} \
    --add --allow-principal "User:$user" "$@" > /dev/null
}

# relay: the one writer of the command logs; it reads their ends
allow perpetua-relay --operation Read --operation Write --topic engine.commands. --resource-pattern-type prefixed

# engine: reads commands, writes events and its book tables, sends away what it cannot read
allow perpetua-engine --operation Read --topic engine.commands. --resource-pattern-type prefixed
allow perpetua-engine --operation Read --operation Write --topic engine.events. --topic engine- --resource-pattern-type prefixed
allow perpetua-engine --operation Read --group engine- --resource-pattern-type prefixed
allow perpetua-engine --operation Write --topic dead-letters

# projection: reads, and keeps among the dead letters what is not ours
allow perpetua-projection --operation Write --topic dead-letters
allow perpetua-projection --operation Read --topic engine.events. --topic engine.commands. --resource-pattern-type prefixed
allow perpetua-projection --operation Read --group projection- --resource-pattern-type prefixed

# publisher: the one writer of the documented topics
allow perpetua-publisher --operation Read --topic engine.events. --resource-pattern-type prefixed
allow perpetua-publisher --operation Read --operation Write --topic fills. --topic executions. --resource-pattern-type prefixed
allow perpetua-publisher --operation Write --topic dead-letters
allow perpetua-publisher --operation Read --group publisher- --resource-pattern-type prefixed

# each compares its topics with what they must be
allow perpetua-relay --operation DescribeConfigs --topic engine.commands. --resource-pattern-type prefixed
allow perpetua-engine --operation DescribeConfigs --topic engine.commands. --topic engine.events. --topic engine- --resource-pattern-type prefixed
allow perpetua-projection --operation DescribeConfigs --topic engine.events. --topic engine.commands. --resource-pattern-type prefixed
allow perpetua-publisher --operation DescribeConfigs --topic engine.events. --topic fills. --topic executions. --resource-pattern-type prefixed

# API: reads events for the socket, and dead letters for operators, without a group
allow perpetua-api --operation Read --topic engine.events. --resource-pattern-type prefixed
allow perpetua-api --operation Read --topic dead-letters

# clock and liquidator ask whether the broker is ours, which needs no right: perpetua-clock, perpetua-liquidator

# reader: `verify`, `dlq list`; consumers of what is public; and back offices, whose topics name accounts
allow perpetua-reader --operation Read --topic '*'
allow perpetua-consumer --operation Read --topic fills. --resource-pattern-type prefixed
allow perpetua-consumer --operation Read --group consumer- --resource-pattern-type prefixed
allow perpetua-backoffice --operation Read --topic fills. --topic executions. --resource-pattern-type prefixed
allow perpetua-backoffice --operation Read --group backoffice- --resource-pattern-type prefixed
