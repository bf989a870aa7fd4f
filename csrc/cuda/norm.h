/* Normalization: sums over chunks of rows with a thread per column, then in double over the chunks, then element by
 * element; rows of a layer norm with a warp each. The order of every sum is that of ../kernels/norm.h, layer_norm.h. */
#ifndef PN_CUDA_NORM_H
#define PN_CUDA_NORM_H

#include "elementwise.h"
#include "warp.h"

/* The sum over rows of f(sum, r): one chain in columns that fill LANES, four in the rest. */
template <typename Step> static __device__ __forceinline__ float norm_column(i64 rows, int four, Step step) {
    float t[4] = {0, 0, 0, 0};
    i64 r = 0;
    if (!four) {
        for (; r < rows; r++) t[0] = step(t[0], r);
        return t[0];
    }
    for (; r + 4 <= rows; r += 4)
        for (int k = 0; k < 4; k++) t[k] = step(t[k], r + k);
    for (; r < rows; r++) t[0] = step(t[0], r);
    return (t[0] + t[1]) + (t[2] + t[3]);
}

/* Column c of chunk k, of `rows` rows, begins at element `at` of x. */
#define NORM_CHUNKS(j)                                                                              \
    PN_EACH(item, j.A * j.chunks * j.C) {                                                           \
        const i64 k = item / j.C, c = item % j.C, r0 = k % j.chunks * j.rows;                       \
        const i64 rows = j.P - r0 < j.rows ? j.P - r0 : j.rows, at = (k / j.chunks * j.P + r0) * j.C + c; \
        const int four = c >= j.C / f32::LANES * f32::LANES;                                        \
        float *part = j.parts + k * 2 * j.C + c;

/* lines[a] = mean, scale, shift of each channel (norm_lines). */
static __device__ __forceinline__ void norm_lines(const f32::norm_job &j) {
    const i64 K = j.C / j.G;
    PN_EACH(item, j.A * j.C) {
        const i64 a = item / j.C, c = item % j.C;
        float *line = j.lines + a * 4 * j.C + c;
        const float rstd = 1 / (float)sqrt((double)j.var[a * j.G + c / K] + (double)j.eps);
        line[0] = j.mean[a * j.G + c / K];
        line[j.C] = j.gamma ? j.gamma[c] * rstd : rstd;
        line[2 * j.C] = j.beta ? j.beta[c] : 0;
    }
}
static __device__ __forceinline__ void norm_scale(const f32::norm_job &j) {
    PN_EACH(i, j.A * j.P * j.C) {
        const float *line = j.lines + i / (j.P * j.C) * 4 * j.C + i % j.C;
        j.y[i] = fmaf(j.x[i] - line[0], line[j.C], line[2 * j.C]);
    }
}

/* Mean and squared deviations of channel c of sample a, from its chunks (norm_join). */
static __device__ __forceinline__ void norm_channel(const f32::norm_job &j, i64 a, i64 c, double *mean, double *m2) {
    double seen = 0;
    *mean = *m2 = 0;
    for (i64 k = 0; k < j.chunks; k++) {
        const float *part = j.parts + (a * j.chunks + k) * 2 * j.C + c;
        const i64 left = j.P - k * j.rows;
        const double rows = (double)(left < j.rows ? left : j.rows), share = rows / (seen + rows);
        const double delta = (double)part[0] - *mean;
        *mean += delta * share;
        *m2 += (double)part[j.C] + delta * delta * seen * share;
        seen += rows;
    }
}

/* Means and squared deviations of the chunks; then of the groups. */
static __device__ __forceinline__ void norm_stats(const f32::norm_job &j) {
    NORM_CHUNKS(j)
        const float *x = j.x + at;
        const float mean = norm_column(rows, four, [&](float t, i64 r) { return t + x[r * j.C]; }) / (float)rows;
        part[0] = mean;
        part[j.C] = norm_column(rows, four, [&](float t, i64 r) {
            const float d = x[r * j.C] - mean;
            return fmaf(d, d, t);
        });
    }
}
static __device__ __forceinline__ void norm_groups(const f32::norm_job &j) {
    const i64 K = j.C / j.G;
    PN_EACH(item, j.A * j.G) {
        const i64 a = item / j.G, g = item % j.G;
        double m = 0, s = 0, mean, m2;
        for (i64 c = g * K; c < (g + 1) * K; c++) {
            norm_channel(j, a, c, &mean, &m2);
            m += mean;
        }
        m /= (double)K;
        for (i64 c = g * K; c < (g + 1) * K; c++) {
            norm_channel(j, a, c, &mean, &m2);
            s += m2 + (double)j.P * (mean - m) * (mean - m);
        }
        j.mean[item] = (float)m;
        j.var[item] = (float)(s / (double)(j.P * K));
    }
}
/* dx, which may be dy. */
static __device__ __forceinline__ void norm_dx(const f32::norm_job &j) {
    PN_EACH(i, j.A * j.P * j.C) {
        const float *line = j.lines + i / (j.P * j.C) * 4 * j.C + i % j.C;
        const float s = fmaf(j.x[i] - line[0], line[2 * j.C], line[3 * j.C]);
        j.y[i] = fmaf(j.dy[i], line[j.C], s);
    }
}

PN_KERNEL(norm_fwd) {
    f32::norm_job j = f32::norm_read(&I);
    if (PN_STOPPED) return;
    j.y = (float *)I.arg[f32::NORM_Y], j.mean = (float *)I.arg[f32::NORM_MEAN], j.var = (float *)I.arg[f32::NORM_VAR];
    j.x = (const float *)I.arg[f32::NORM_X], j.gamma = (const float *)I.arg[f32::NORM_GAMMA];
    j.beta = (const float *)I.arg[f32::NORM_BETA];
    if (phase == 0) norm_stats(j);
    else if (phase == 1) norm_groups(j);
    else if (phase == 2) norm_lines(j);
    else norm_scale(j);
}

PN_KERNEL(norm_apply) {
    f32::norm_job j = f32::norm_read(&I);
    if (PN_STOPPED) return;
    j.y = (float *)I.arg[f32::NAPPLY_Y];
    j.x = (const float *)I.arg[f32::NAPPLY_X], j.mean = (float *)I.arg[f32::NAPPLY_MEAN],
    j.var = (float *)I.arg[f32::NAPPLY_VAR];
    j.gamma = (const float *)I.arg[f32::NAPPLY_GAMMA], j.beta = (const float *)I.arg[f32::NAPPLY_BETA];
    if (phase == 0) norm_lines(j);
    else norm_scale(j);
}

PN_KERNEL(norm_track) {
    (void)phase;
    const float m = (float)I.par[0];
    const i64 C = I.dim[f32::NTRACK_C];
    if (PN_STOPPED) return;
    PN_EACH(i, 2 * C) {
        float *state = (float *)I.arg[f32::NTRACK_MEAN + i / C] + i % C;
        *state += (1 - m) * (((const float *)I.arg[f32::NTRACK_BATCH + i / C])[i % C] - *state);
    }
}

/* Sums over the chunks of sample a of dy, and of dy (x - mean). */
static __device__ __forceinline__ void norm_sums(const f32::norm_job &j, i64 a, i64 c, double *s1, double *s2) {
    *s1 = *s2 = 0;
    for (i64 k = 0; k < j.chunks; k++) {
        const float *part = j.parts + (a * j.chunks + k) * 2 * j.C + c;
        *s1 += (double)part[0];
        *s2 += (double)part[j.C];
    }
}

/* Phases: lines; sums of the chunks; gradients of gamma and beta, and what dx needs of each group; dx, which may be
 * dy. */
PN_KERNEL(norm_bwd) {
    f32::norm_job j = f32::norm_read(&I);
    const i64 K = j.G ? j.C / j.G : 0;
    const double count = (double)(j.P * K);
    double s1, s2;
    if (PN_STOPPED) return;
    j.y = (float *)I.arg[f32::NORMB_DX], j.dgamma = (float *)I.arg[f32::NORMB_DGAMMA],
    j.dbeta = (float *)I.arg[f32::NORMB_DBETA];
    j.dy = (const float *)I.arg[f32::NORMB_DY], j.x = (const float *)I.arg[f32::NORMB_X];
    j.mean = (float *)I.arg[f32::NORMB_MEAN], j.var = (float *)I.arg[f32::NORMB_VAR];
    j.gamma = (const float *)I.arg[f32::NORMB_GAMMA];
    if (phase == 0) {
        norm_lines(j);
    } else if (phase == 1) {
        NORM_CHUNKS(j)
            const float *x = j.x + at, *dy = j.dy + at, mean = j.lines[k / j.chunks * 4 * j.C + c];
            part[0] = norm_column(rows, four, [&](float t, i64 r) { return t + dy[r * j.C]; });
            part[j.C] =
                norm_column(rows, four, [&](float t, i64 r) { return fmaf(dy[r * j.C], x[r * j.C] - mean, t); });
        }
    } else if (phase == 2) {
        PN_EACH(c, j.C) {
            float dgamma = 0, dbeta = 0;
            for (i64 a = 0; a < j.A; a++) {
                const double rstd = 1 / sqrt((double)j.var[a * j.G + c / K] + (double)j.eps);
                norm_sums(j, a, c, &s1, &s2);
                dbeta += (float)s1;
                dgamma += (float)(s2 * rstd);
            }
            if (j.dbeta) j.dbeta[c] = dbeta;
            if (j.dgamma) j.dgamma[c] = dgamma;
        }
        PN_EACH(item, j.A * j.G) {
            const i64 a = item / j.G, g = item % j.G;
            const double rstd = 1 / sqrt((double)j.var[item] + (double)j.eps);
            double m1 = 0, m2 = 0;
            for (i64 c = g * K; c < (g + 1) * K; c++) {
                const double gamma = j.gamma ? (double)j.gamma[c] : 1;
                norm_sums(j, a, c, &s1, &s2);
                m1 += gamma * s1;
                m2 += gamma * s2;
            }
            for (i64 c = g * K; c < (g + 1) * K; c++) {
                float *line = j.lines + a * 4 * j.C + c;
                line[2 * j.C] = (float)(-rstd * rstd * rstd * m2 / count);
                line[3 * j.C] = (float)(-rstd * m1 / count);
            }
        }
    } else if (j.y) norm_dx(j);
}

/* Of a batch in segments (../kernels/norm_shared.h): statistics of one; those of all; dx with the sums of all. */
PN_KERNEL(norm_part) {
    f32::norm_job j = f32::norm_read(&I);
    if (PN_STOPPED) return;
    j.mean = (float *)I.arg[f32::NPART_MEAN], j.var = (float *)I.arg[f32::NPART_VAR];
    j.x = (const float *)I.arg[f32::NPART_X];
    if (phase == 0) norm_stats(j);
    else norm_groups(j);
}
PN_KERNEL(norm_join_parts) {
    (void)phase;
    if (PN_STOPPED) return;
    PN_EACH(c, I.dim[f32::NJOIN_C]) f32::norm_join_channel(&I, c);
}
PN_KERNEL(norm_shared_bwd) {
    f32::norm_job j = f32::norm_read(&I);
    if (PN_STOPPED) return;
    j.y = (float *)I.arg[f32::NSHARED_DX], j.dy = (const float *)I.arg[f32::NSHARED_DY];
    j.x = (const float *)I.arg[f32::NSHARED_X], j.gamma = (const float *)I.arg[f32::NSHARED_GAMMA];
    j.mean = (float *)I.arg[f32::NSHARED_MEAN], j.var = (float *)I.arg[f32::NSHARED_VAR];
    if (phase == 0) norm_lines(j);
    else if (phase == 1) PN_EACH(c, j.C) f32::norm_shared_line(&I, &j, c);
    else norm_dx(j);
}

PN_KERNEL(layer_norm_fwd) {
    (void)phase;
    const i64 C = I.dim[f32::LNORM_C];
    const float *gamma = (const float *)I.arg[f32::LNORM_GAMMA], *beta = (const float *)I.arg[f32::LNORM_BETA];
    if (PN_STOPPED) return;
    PN_WARPS(r, I.dim[f32::LNORM_R]) {
        const float *x = (const float *)I.arg[f32::LNORM_X] + r * C;
        float *y = (float *)I.arg[f32::LNORM_Y] + r * C;
        const float mean = warp_sum<float>(C, [&](i64 i, float s) { return s + x[i]; }) / (float)C;
        const float var = warp_sum<float>(C, [&](i64 i, float s) {
            const float d = x[i] - mean;
            return fmaf(d, d, s);
        }) / (float)C;
        const float rstd = 1 / (float)sqrt((double)var + I.par[0]);
        PN_LANES(c, C) {
            float v = (x[c] - mean) * rstd;
            if (gamma) v = v * gamma[c];
            if (beta) v = v + beta[c];
            y[c] = v;
        }
        if (warp_lane() == 0) {
            ((float *)I.arg[f32::LNORM_MEAN])[r] = mean;
            ((float *)I.arg[f32::LNORM_RSTD])[r] = rstd;
        }
    }
}

/* Phases: partial dgamma and dbeta over consecutive rows; their sums; dx, which may be dy. */
PN_KERNEL(layer_norm_bwd) {
    const i64 R = I.dim[f32::LNORM_R], C = I.dim[f32::LNORM_C], parts = R < f32::NORM_PARTS ? R : f32::NORM_PARTS;
    const float *all_dy = (const float *)I.arg[f32::LNORMB_DY], *all_x = (const float *)I.arg[f32::LNORMB_X];
    const float *mean = (const float *)I.arg[f32::LNORMB_MEAN], *rstd = (const float *)I.arg[f32::LNORMB_RSTD];
    const float *gamma = (const float *)I.arg[f32::LNORMB_GAMMA];
    float *scratch = (float *)I.scratch;
    if (PN_STOPPED) return;
    if (phase == 0) {
        PN_EACH(item, parts * C) {
            const i64 g = item / C, c = item % C;
            float dgamma = 0, dbeta = 0;
            for (i64 r = R * g / parts; r < R * (g + 1) / parts; r++) {
                const float d = all_dy[r * C + c];
                dgamma = fmaf(d, (all_x[r * C + c] - mean[r]) * rstd[r], dgamma);
                dbeta = d + dbeta;
            }
            scratch[2 * g * C + c] = dgamma;
            scratch[(2 * g + 1) * C + c] = dbeta;
        }
    } else if (phase == 1) {
        PN_EACH(item, 2 * C) {
            const i64 k = item / C, c = item % C;
            float *to = (float *)I.arg[f32::LNORMB_DGAMMA + k], s = 0;
            for (i64 g = 0; g < parts; g++) s += scratch[(2 * g + k) * C + c];
            if (to) to[c] = s;
        }
    } else if (I.arg[f32::LNORMB_DX]) {
        PN_WARPS(r, R) {
            const float *dy = all_dy + r * C, *x = all_x + r * C, m = mean[r], k = rstd[r];
            float *dx = (float *)I.arg[f32::LNORMB_DX] + r * C;
            const auto dg = [&](i64 c) { return gamma ? dy[c] * gamma[c] : dy[c]; };
            const float m1 = warp_sum<float>(C, [&](i64 c, float s) { return s + dg(c); }) / (float)C;
            const float m2 =
                warp_sum<float>(C, [&](i64 c, float s) { return fmaf(dg(c), (x[c] - m) * k, s); }) / (float)C;
            PN_LANES(c, C) dx[c] = k * ((dg(c) - m1) - (x[c] - m) * k * m2);
        }
    }
}

/* Across channels (../kernels/lrn.h): a thread per element, which sums its windows itself. */
static __device__ __forceinline__ float lrn_scale(const pn_instr &I, const float *x, i64 c) { /* d[c] of a row */
    const i64 C = I.dim[f32::LRN_C], radius = I.dim[f32::LRN_RADIUS];
    float s = 0;
    for (i64 j = c - radius; j <= c + radius; j++) s = s + (j >= 0 && j < C ? x[j] * x[j] : 0);
    return fmaf((float)I.par[1], s, (float)I.par[0]);
}
PN_KERNEL(lrn_fwd) {
    (void)phase;
    const i64 C = I.dim[f32::LRN_C];
    if (PN_STOPPED) return;
    PN_EACH(i, I.dim[f32::LRN_R] * C) {
        const float *x = (const float *)I.arg[f32::LRN_X] + i / C * C;
        ((float *)I.arg[f32::LRN_Y])[i] = x[i % C] * f32::lrn_power(lrn_scale(I, x, i % C), I.par[2]);
    }
}
PN_KERNEL(lrn_bwd) {
    (void)phase;
    const i64 C = I.dim[f32::LRN_C], radius = I.dim[f32::LRN_RADIUS];
    const float twice = (float)(-2 * I.par[1] * I.par[2]);
    if (PN_STOPPED) return;
    PN_EACH(i, I.dim[f32::LRN_R] * C) {
        const i64 c = i % C;
        const float *x = (const float *)I.arg[f32::LRNB_X] + (i - c);
        const float *dy = (const float *)I.arg[f32::LRNB_DY] + (i - c);
        float s = 0, own = 0;
        for (i64 j = c - radius; j <= c + radius; j++) {
            float term = 0;
            if (j >= 0 && j < C) {
                const float d = lrn_scale(I, x, j), p = dy[j] * f32::lrn_power(d, I.par[2]);
                term = p * x[j] / d;
                if (j == c) own = p;
            }
            s = s + term;
        }
        ((float *)I.arg[f32::LRNB_DX])[i] = own + twice * x[c] * s;
    }
}

#endif
