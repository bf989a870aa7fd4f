#include "witness.h"

#include <string.h>

/* splitmix64 (Steele, Lea, Flood 2014), 24 bits of each word: exact in float, so that only one operation rounds. */
void wt_draw(void *to, int wide, i64 n, double low, double high, uint64_t seed) {
    uint64_t state = seed;
    for (i64 i = 0; i < n; i++) {
        uint64_t z = state += 0x9E3779B97F4A7C15ULL;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
        volatile double span = (high - low) * ((double)((z ^ (z >> 31)) >> 40) / 16777216.0); /* never contracted */
        double x = low + span;
        if (wide) ((double *)to)[i] = x;
        else ((float *)to)[i] = (float)x;
    }
}

static uint64_t step(uint64_t h, uint64_t word) { return (h ^ word) * 0x100000001b3ULL; }

uint64_t wt_hash(uint64_t h, const void *data, int size, i64 n) {
    for (i64 i = 0; i < n; i++) {
        if (size == 1) {
            h = step(h, ((const unsigned char *)data)[i]);
        } else if (size == 4) {
            uint32_t w;
            float x;
            memcpy(&w, (const char *)data + 4 * i, 4);
            memcpy(&x, &w, 4);
            h = step(h, x != x ? 0x7fc00000u : w);
        } else {
            uint64_t w;
            double x;
            memcpy(&w, (const char *)data + 8 * i, 8);
            memcpy(&x, &w, 8);
            w = x != x ? 0x7ff8000000000000ULL : w;
            h = step(step(h, w & 0xffffffffu), w >> 32);
        }
    }
    return h;
}
