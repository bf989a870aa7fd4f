/* What the parts of the witness share: seeded numbers and the hash. */
#ifndef WITNESS_H
#define WITNESS_H

#include "pn.h"

#define WT_SEED 0xcbf29ce484222325ULL

/* Fills n floats (or doubles) with numbers of [low, high): the same bits on every machine. */
void wt_draw(void *to, int wide, i64 n, double low, double high, uint64_t seed);

/* FNV-1a over n elements of 4 or 8 bytes, which are floating, or 1; NaN counts as one value. */
uint64_t wt_hash(uint64_t h, const void *data, int size, i64 n);

/* Prints the hashes of the building blocks in every table (pn_ops); returns how often threads gave other bits. */
int wt_blocks(const int *threads, int runs);

#endif
