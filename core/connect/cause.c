#include "connect/cause.h"

#include <stdio.h>
#include <string.h>

/* Words of the trace, and what to do. The first that is found counts: those that say more stand first. */
static const struct {
    const char *words;
    const char *also; /* too; NULL = no more */
    const char *remedy;
} known[] = {
    {"JsonConverter with schemas.enable requires", NULL,
     "the messages have no schema: set key.converter.schemas.enable or "
     "value.converter.schemas.enable: false, or have "
     "the source write schemas"},
    {"Unknown magic byte", NULL,
     "the messages are not Avro of a registry: the converter must be that which wrote them"},
    {"Converting byte[] to Kafka Connect data failed", NULL,
     "the converter must be that which wrote the messages: look at one, and set key.converter and "
     "value.converter"},
    {"Failed to find any class that implements", NULL,
     "install the plugin in a folder of plugin.path on every worker, and restart them"},
    {"ClassNotFoundException", NULL,
     "a jar is missing in the plugin's folder: put it there on every worker, and restart them"},
    {"NoClassDefFoundError", NULL,
     "a jar is missing in the plugin's folder, or there twice in two versions: make the folder "
     "anew "
     "as the plugin was published"},
    {"not a subtype", NULL,
     "a jar of the plugin's folder is also the worker's: take jackson, slf4j and kafka-clients out "
     "of it"},
    {"No suitable driver", NULL,
     "put the JDBC driver's jar into the plugin's folder on every worker"},
    {"replication slot", "is active for PID",
     "another connector or consumer reads this slot: stop it, or give this one a slot.name of its "
     "own"},
    {"replication slot", "does not exist",
     "the slot was dropped: what came since is lost; begin with a new snapshot"},
    {"replication slot", "already exists",
     "drop it if nobody needs it, or choose another slot.name"},
    {"all replication slots are in use", NULL,
     "drop a slot that nobody needs, or raise max_replication_slots"},
    {"requested WAL segment", "has already been removed",
     "the log that the slot needs is gone: begin with a new snapshot"},
    {"wal_level", NULL, "ALTER SYSTEM SET wal_level = logical, and restart PostgreSQL"},
    {"publication", "does not exist",
     "CREATE PUBLICATION, or publication.autocreate.mode: filtered"},
    {"must be superuser", NULL,
     "ALTER ROLE … REPLICATION, and make the publication as the tables' owner"},
    {"password authentication failed", NULL, "check database.user and database.password"},
    {"Login failed for user", NULL, "check database.user and database.password"},
    {"no pg_hba.conf entry", NULL, "let the worker's address in: pg_hba.conf of PostgreSQL"},
    {"permission denied", NULL, "GRANT what is missing to the connector's user"},
    {"UnknownHostException", NULL,
     "the workers do not know this host: check its name, and their DNS"},
    {"Connection refused", NULL,
     "check host and port; is the server up, and reachable from the workers?"},
    {"Connection to", "refused",
     "check host and port; is the server up, and reachable from the workers?"},
    {"connect timed out", NULL, "check host and port, and the firewall between"},
    {"RecordTooLargeException", NULL,
     "raise producer.override.max.request.size and the topic's max.message.bytes"},
    {"UnknownTopicOrPartitionException", NULL, "create the topic, or let the broker do it"},
    {"TopicAuthorizationException", NULL, "give the connector's principal the right to the topic"},
    {"GroupAuthorizationException", NULL, "give the connector's principal the right to the group"},
    {"SaslAuthenticationException", NULL,
     "check the SASL mechanism, user and password towards the brokers"},
    {"NoSuchBucket", NULL, "create the bucket, or check its name and region"},
    {"InvalidAccessKeyId", NULL, "check the access key"},
    {"SignatureDoesNotMatch", NULL, "check the secret key, and the clock"},
    {"OutOfMemoryError", NULL,
     "give the workers more memory (KAFKA_HEAP_OPTS), or batches fewer bytes"},
};

static size_t line_size(const char *line)
{
    return strcspn(line, "\r\n");
}

/* "io.debezium.DebeziumException: text" → the text; of a bare class its name. */
static void put_line(const char *line, size_t size, char out[SLUICE_CONNECT_CAUSE_MAX])
{
    size_t head = 0; /* of the class's name */
    while (head < size &&
           (line[head] == '.' || line[head] == '$' || line[head] == '_' ||
            (line[head] >= 'a' && line[head] <= 'z') || (line[head] >= 'A' && line[head] <= 'Z') ||
            (line[head] >= '0' && line[head] <= '9'))) {
        head++;
    }
    /* Connect lists all that it has instead of ending the sentence. */
    const char *rest = memmem(line, size, ", available connectors are", 26);
    size = rest != NULL ? (size_t)(rest - line) : size;
    const int is_class =
        head > 0 && (head == size || line[head] == ':') && memchr(line, '.', head) != NULL;
    const char *from = line;
    size_t n = size;
    if (is_class && head + 2 < size) {
        from = line + head + 2;
        n = size - head - 2;
    }
    else if (is_class) {
        const char *dot = line;
        for (size_t i = 0; i < head; i++) {
            dot = line[i] == '.' ? line + i + 1 : dot;
        }
        from = dot;
        n = (size_t)(line + head - dot);
    }
    (void)snprintf(out, SLUICE_CONNECT_CAUSE_MAX, "%.*s",
                   (int)(n < SLUICE_CONNECT_CAUSE_MAX ? n : SLUICE_CONNECT_CAUSE_MAX - 1), from);
}

void sluice_connect_cause(const char *trace, char out[SLUICE_CONNECT_CAUSE_MAX],
                          const char **remedy)
{
    static const char word[] = "Caused by: ";
    const char *line = trace;
    const char *found = trace;
    *remedy = NULL;
    for (const char *p = strstr(trace, word); p != NULL; p = strstr(p + 1, word)) {
        line = p + sizeof word - 1;
        /* An EOFException or the like under a cause with words says less than that. */
        const size_t size = line_size(line);
        if (memchr(line, ' ', size) != NULL) {
            found = line;
        }
    }
    put_line(found, line_size(found), out);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strstr(trace, known[i].words) != NULL &&
            (known[i].also == NULL || strstr(trace, known[i].also) != NULL)) {
            *remedy = known[i].remedy;
            return;
        }
    }
}
