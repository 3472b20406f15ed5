/*
 * Fuzz target: what a worker of Kafka Connect says of a failure. Input: the trace.
 *
 * One line comes out, of bytes that stand in the trace.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "connect/cause.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char out[SLUICE_CONNECT_CAUSE_MAX];
    const char *remedy = NULL;
    char *trace = malloc(size + 1);
    if (trace == NULL) {
        return 0;
    }
    memcpy(trace, data, size);
    trace[size] = '\0';
    sluice_connect_cause(trace, out, &remedy);
    if (strlen(out) >= sizeof out || strpbrk(out, "\r\n") != NULL || strstr(trace, out) == NULL) {
        abort();
    }
    free(trace);
    return 0;
}
