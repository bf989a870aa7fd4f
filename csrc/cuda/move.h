/* What moves bytes and rows (../kernels/move.h, gather.h): a thread per element, or per word of a row. */
#ifndef PN_CUDA_MOVE_H
#define PN_CUDA_MOVE_H

#include "elementwise.h"
#include "warp.h"

/* Whether bytes from a to b, in pieces of so many, are whole words of four that begin where words do. */
static __device__ __forceinline__ int move_words(const void *a, const void *b, i64 bytes) {
    return (((uintptr_t)a | (uintptr_t)b | (uintptr_t)bytes) & 3) == 0;
}
/* Rows: y row k is x row row_of(k), of `bytes` each, for k < rows. */
template <typename Row>
static __device__ __forceinline__ void move_rows(void *y, const void *x, i64 rows, i64 bytes, Row row_of) {
    if (move_words(y, x, bytes)) {
        const i64 words = bytes / 4;
        PN_EACH(i, rows * words)((uint32_t *)y)[i] = ((const uint32_t *)x)[row_of(i / words) * words + i % words];
    } else {
        PN_EACH(i, rows * bytes)((uint8_t *)y)[i] = ((const uint8_t *)x)[row_of(i / bytes) * bytes + i % bytes];
    }
}
static __device__ __forceinline__ i64 move_index(const void *list, i64 narrow, i64 i) {
    return narrow ? ((const int32_t *)list)[i] : ((const i64 *)list)[i];
}

PN_KERNEL(strided_copy) {
    (void)phase;
    if (PN_STOPPED) return;
    PN_EACH(i, I.dim[bytes::MV_N]) bytes::mv_strided(&I, i, i + 1, 0);
}
PN_KERNEL(strided_place) {
    if (PN_STOPPED) return;
    if (phase == 0) {
        uint8_t *y = (uint8_t *)I.arg[bytes::MV_Y];
        const i64 size = I.dim[bytes::MV_ITEM];
        PN_EACH(i, I.dim[bytes::MV_OTHER])
            for (i64 k = 0; k < size; k++) y[i * size + k] = 0;
        return;
    }
    PN_EACH(i, I.dim[bytes::MV_N]) bytes::mv_strided(&I, i, i + 1, 1);
}
PN_KERNEL(concat) {
    (void)phase;
    const i64 A = I.dim[bytes::CONCAT_A], bytes = I.dim[bytes::CONCAT_B], count = I.dim[bytes::CONCAT_COUNT];
    uint8_t *y = (uint8_t *)I.arg[bytes::CONCAT_Y];
    i64 line = 0;
    if (PN_STOPPED) return;
    for (i64 k = 0; k < count; k++) line += I.dim[bytes::CONCAT_SIZES + k] * bytes;
    PN_EACH(i, A * line) {
        const i64 a = i / line;
        i64 at = i % line, k = 0, part = I.dim[bytes::CONCAT_SIZES] * bytes;
        while (at >= part) {
            at -= part;
            part = I.dim[bytes::CONCAT_SIZES + ++k] * bytes;
        }
        y[i] = ((const uint8_t *)I.arg[bytes::CONCAT_XS + k])[a * part + at];
    }
}
PN_KERNEL(fill) {
    (void)phase;
    if (PN_STOPPED) return;
    PN_EACH(i, I.dim[bytes::BYTES_N])((uint8_t *)I.arg[bytes::MV_Y])[i] = 0;
}
PN_KERNEL(copy) {
    (void)phase;
    if (PN_STOPPED) return;
    move_rows(I.arg[bytes::MV_Y], I.arg[bytes::MV_X], 1, I.dim[bytes::BYTES_N], [](i64) { return (i64)0; });
}
PN_SPLIT_AS(cast, bytes::cast)

PN_KERNEL(take) {
    const i64 rows = I.dim[bytes::TAKE_ROWS], count = I.dim[bytes::TAKE_COUNT], narrow = I.dim[bytes::TAKE_NARROW];
    const void *list = I.arg[bytes::TAKE_IDX];
    if (PN_STOPPED) return;
    if (phase == 0) {
        PN_EACH(i, count) {
            const i64 at = move_index(list, narrow, i);
            if (at < -rows || at >= rows) PN_FAIL(PN_BAD_INDEX);
        }
        return;
    }
    move_rows(I.arg[bytes::TAKE_Y], I.arg[bytes::TAKE_X], I.dim[bytes::TAKE_A] * count, I.dim[bytes::TAKE_BYTES],
              [&](i64 k) {
                  const i64 at = move_index(list, narrow, k % count);
                  return k / count * rows + (at < 0 ? at + rows : at);
              });
}

/* Phases: the place of a bad id is none; it is the smallest that any thread meets; one thread reports it; rows move. */
PN_KERNEL(lookup) {
    const i64 rows = I.dim[bytes::LOOK_V], count = I.dim[bytes::LOOK_COUNT], narrow = I.dim[bytes::LOOK_NARROW];
    const void *ids = I.arg[bytes::LOOK_IDS];
    i64 *bad = (i64 *)I.arg[bytes::LOOK_BAD];
    const int first = !blockIdx.x && !threadIdx.x;
    if (PN_STOPPED) return;
    if (phase == 0) {
        if (first) bad[0] = 0, bad[1] = -1; /* as an unsigned number the largest */
    } else if (phase == 1) {
        PN_EACH(i, count) {
            const i64 at = move_index(ids, narrow, i);
            if (at < 0 || at >= rows) atomicMin((unsigned long long *)bad + 1, (unsigned long long)i);
        }
    } else if (phase == 2) {
        if (!first) return;
        if (bad[1] < 0) {
            bad[1] = 0;
            return;
        }
        bad[0] = bad[1];
        bad[1] = move_index(ids, narrow, bad[0]);
        PN_FAIL(PN_BAD_INDEX);
    } else {
        move_rows(I.arg[bytes::LOOK_Y], I.arg[bytes::LOOK_W], count, I.dim[bytes::LOOK_BYTES],
                  [&](i64 k) { return move_index(ids, narrow, k); });
    }
}

/* Rows perm[*offset + i] of x, of row_bytes each: whether they exist (pn_rows_inside), a row per thread. */
static __device__ __forceinline__ void move_check_batch(const pn_instr &I, i64 row_bytes, int *status) {
    const i64 count = I.dim[ROWS_PERM_BYTES] / (i64)sizeof(i64), offset = *(const i64 *)I.arg[ROWS_OFFSET],
              N = I.dim[ROWS_N];
    if (offset < 0 || offset > count - N) {
        PN_FAIL(PN_BAD_INDEX);
        return;
    }
    const i64 *perm = (const i64 *)I.arg[ROWS_PERM] + offset;
    PN_EACH(i, row_bytes ? N : 0)
        if ((uint64_t)perm[i] >= (uint64_t)(I.dim[ROWS_X_BYTES] / row_bytes)) PN_FAIL(PN_BAD_INDEX);
}
PN_KERNEL(batch_rows) {
    if (PN_STOPPED) return;
    if (phase == 0) {
        move_check_batch(I, I.dim[ROWS_B], status);
        return;
    }
    const i64 *perm = (const i64 *)I.arg[ROWS_PERM] + *(const i64 *)I.arg[ROWS_OFFSET];
    move_rows(I.arg[ROWS_Y], I.arg[ROWS_X], I.dim[ROWS_N], I.dim[ROWS_B], [&](i64 k) { return perm[k]; });
}
PN_KERNEL(batch_scaled) {
    const i64 B = I.dim[ROWS_B];
    if (PN_STOPPED) return;
    if (phase == 0) {
        move_check_batch(I, B, status);
        return;
    }
    const i64 *perm = (const i64 *)I.arg[ROWS_PERM] + *(const i64 *)I.arg[ROWS_OFFSET];
    const float scale = (float)I.par[0];
    PN_EACH(i, I.dim[ROWS_N] * B)
        ((float *)I.arg[ROWS_Y])[i] = scale * (float)((const uint8_t *)I.arg[ROWS_X])[perm[i / B] * B + i % B];
}
PN_KERNEL(store_rows) {
    (void)phase;
    const i64 row = I.dim[bytes::STORE_ROW], offset = *(const i64 *)I.arg[bytes::STORE_OFFSET],
              N = I.dim[bytes::STORE_N];
    if (PN_STOPPED || row == 0) return;
    if (offset < 0 || offset > I.dim[bytes::STORE_Y_BYTES] / row - N) {
        PN_FAIL(PN_BAD_INDEX);
        return;
    }
    move_rows((uint8_t *)I.arg[bytes::STORE_Y] + offset * row, I.arg[bytes::STORE_X], 1, N * row,
              [](i64) { return (i64)0; });
}

/* Of one thread each. */
#define PN_SERIAL(name, function) \
    PN_KERNEL(name) { \
        (void)phase; \
        if (PN_STOPPED || blockIdx.x || threadIdx.x) return; \
        const int found = function(&I); \
        if (found) PN_FAIL(found); \
    }
PN_SERIAL(advance, bytes::advance)
PN_SERIAL(segment_begin, bytes::segment_begin)
PN_SERIAL(log_segments, bytes::log_segments)

/* Sums into rows: a thread per column goes through the list in order. */
static __device__ __forceinline__ void move_add_rows(float *dx, const float *dy, const void *list, i64 narrow, i64 rows,
                                                     i64 count, i64 B, i64 A) {
    PN_EACH(k, A * B) {
        const i64 a = k / B, j = k % B;
        for (i64 i = 0; i < count; i++) {
            const i64 at = move_index(list, narrow, i), r = at < 0 ? at + rows : at;
            float *to = dx + (a * rows + r) * B + j;
            *to = *to + dy[(a * count + i) * B + j];
        }
    }
}
static __device__ __forceinline__ void move_check_list(const pn_instr &I, const void *list, i64 narrow, i64 rows, i64 count,
                                                       int *status) {
    PN_EACH(i, count) {
        const i64 at = move_index(list, narrow, i);
        if (at < -rows || at >= rows) PN_FAIL(PN_BAD_INDEX);
    }
}
PN_KERNEL(take_bwd) {
    const i64 A = I.dim[f32::TAKEB_A], rows = I.dim[f32::TAKEB_ROWS], count = I.dim[f32::TAKEB_COUNT],
              B = I.dim[f32::TAKEB_B];
    const i64 narrow = I.dim[f32::TAKEB_NARROW];
    float *dx = (float *)I.arg[f32::TAKEB_DX];
    if (PN_STOPPED) return;
    if (phase == 0) move_check_list(I, I.arg[f32::TAKEB_IDX], narrow, rows, count, status);
    else if (phase == 1) PN_EACH(i, A * rows * B) dx[i] = 0;
    else move_add_rows(dx, (const float *)I.arg[f32::TAKEB_DY], I.arg[f32::TAKEB_IDX], narrow, rows, count, B, A);
}

/* Phases: both lists are checked; what was touched is cleared, or all where that is not known; one thread lists the
 * rows of this step in the order of their first touch; the rows are added. */
PN_KERNEL(lookup_bwd) {
    const i64 V = I.dim[f32::LOOKB_V], ids = I.dim[f32::LOOKB_IDCOUNT], B = I.dim[f32::LOOKB_B],
              narrow = I.dim[f32::LOOKB_NARROW];
    int32_t *marked = (int32_t *)I.arg[f32::LOOKB_MARKED], *rows = (int32_t *)I.arg[f32::LOOKB_ROWS];
    i64 *count = (i64 *)I.arg[f32::LOOKB_COUNT], *known = (i64 *)I.arg[f32::LOOKB_KNOWN];
    float *dw = (float *)I.arg[f32::LOOKB_DW];
    const void *list = I.arg[f32::LOOKB_IDS];
    if (PN_STOPPED) return;
    if (phase == 0) {
        const i64 before = *count;
        if (before < 0 || before > V) {
            PN_FAIL(PN_BAD_INDEX);
            return;
        }
        PN_EACH(i, before)
            if ((uint64_t)(uint32_t)rows[i] >= (uint64_t)V) PN_FAIL(PN_BAD_INDEX);
        move_check_list(I, list, narrow, V, ids, status);
    } else if (phase == 1) {
        if (*known) {
            PN_EACH(i, *count * B) dw[rows[i / B] * B + i % B] = 0;
            PN_EACH(i, *count) marked[rows[i]] = 0;
        } else {
            PN_EACH(i, V * B) dw[i] = 0;
            PN_EACH(i, V) marked[i] = 0;
        }
    } else if (phase == 2) {
        i64 n = 0;
        if (blockIdx.x || threadIdx.x) return;
        for (i64 i = 0; i < ids; i++) {
            const i64 at = move_index(list, narrow, i), r = at < 0 ? at + V : at;
            if (marked[r]) continue;
            marked[r] = 1;
            rows[n++] = (int32_t)r;
        }
        *known = 1;
        *count = n;
    } else move_add_rows(dw, (const float *)I.arg[f32::LOOKB_DY], list, narrow, V, ids, B, 1);
}

#endif
