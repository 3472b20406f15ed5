/* Identical warnings and errors within a window are counted, not written. */
#include <string.h>

#include "log/log.h"
#include "log/log_internal.h"

#define REPEAT_SLOTS 32
#define REPEAT_WINDOW_US (10 * 1000000)

struct slot {
    uint64_t hash; /* 0 = free */
    int64_t written_us;
    struct log_repeat line;
};

static struct slot slots[REPEAT_SLOTS];

static uint64_t hash_more(uint64_t h, const void *data, size_t size)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < size; i++) {
        h = (h ^ p[i]) * 0x100000001b3u;
    }
    return h;
}

static void text_cut(char *out, size_t cap, const char *text, size_t size)
{
    size_t fits = size < cap ? size : cap - 1;
    memcpy(out, text, fits);
    out[fits] = '\0';
}

static struct slot *slot_find(uint64_t hash)
{
    for (size_t i = 0; i < REPEAT_SLOTS; i++) {
        if (slots[i].hash == hash) {
            return &slots[i];
        }
    }
    return NULL;
}

/* A free slot, else the oldest that holds no count back; NULL = all hold something back. */
static struct slot *slot_free(void)
{
    struct slot *best = NULL;
    for (size_t i = 0; i < REPEAT_SLOTS; i++) {
        if (slots[i].hash == 0) {
            return &slots[i];
        }
        if (slots[i].line.count == 0 && (best == NULL || slots[i].written_us < best->written_us)) {
            best = &slots[i];
        }
    }
    return best;
}

int sluice_repeat_pass(int32_t level, const char *scope, const char *message, size_t size,
                       int64_t now_us, uint64_t *held)
{
    *held = 0;
    if (level > SLUICE_LOG_WARN) {
        return 1;
    }
    uint64_t hash = hash_more(0xcbf29ce484222325u, &level, sizeof level);
    hash = hash_more(hash, scope, strlen(scope) + 1);
    hash = hash_more(hash, message, size) | 1u;
    struct slot *slot = slot_find(hash);
    if (slot == NULL) {
        slot = slot_free();
        if (slot != NULL) {
            slot->hash = hash;
            slot->written_us = now_us;
            slot->line.level = level;
            slot->line.count = 0;
            text_cut(slot->line.scope, sizeof slot->line.scope, scope, strlen(scope));
            text_cut(slot->line.message, sizeof slot->line.message, message, size);
        }
        return 1;
    }
    if (now_us - slot->written_us < REPEAT_WINDOW_US) {
        slot->line.count++;
        return 0;
    }
    *held = slot->line.count;
    slot->line.count = 0;
    slot->written_us = now_us;
    return 1;
}

int sluice_repeat_due(int64_t now_us, int force, struct log_repeat *out)
{
    for (size_t i = 0; i < REPEAT_SLOTS; i++) {
        struct slot *slot = &slots[i];
        if (slot->hash != 0 && slot->line.count > 0 &&
            (force || now_us - slot->written_us >= REPEAT_WINDOW_US)) {
            *out = slot->line;
            slot->hash = 0;
            slot->line.count = 0;
            return 1;
        }
    }
    return 0;
}

void sluice_repeat_clear(void)
{
    memset(slots, 0, sizeof slots);
}
