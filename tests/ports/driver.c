/* The witness: runs every case of a file on every table of kernels that this machine has, and prints one line for each:
 * its table, kernel, dtype, number, and a hash of all that the kernel wrote. It needs csrc/ and a C library, no Python.
 *
 *     driver CASES [THREADS ...]     by default 1 2 4 threads, which must give the same bits
 *
 * Exit status: 0; 1 if threads differ, a kernel wrote outside its operands, or a kernel of kernels.def has no case;
 * 2 if the file cannot be read. NaN counts as one value: its sign and payload differ between processors.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "byte_dots.h"
#include "par.h"
#include "witness.h"

#ifdef WT_CUDA /* with csrc/cuda/shim_table.cpp: the device kernels alone, in two orders of their threads */
extern int pn_shim_order;
pn_kernel pn_shim_kernel(const char *name, int dtype);
static void set_order(int order) { pn_shim_order = order; }
#endif

enum { NONE, STORED, DRAWN, SAME }; /* what an operand is */
enum { GUARD = 64, MOST_RUNS = 8 };

static const char *const dtype_names[PN_DTYPES] = {"float32", "float64", "int32", "int64", "uint8", "bool"};
static const int sizes[PN_DTYPES] = {4, 8, 4, 8, 1, 1};

typedef struct operand {
    int kind, dtype;
    i64 count, bytes, same;
    const unsigned char *stored;
    double low, high;
    uint64_t seed;
    unsigned char *memory; /* bytes, and GUARD before and after */
} operand;

typedef struct one_case {
    char name[256], label[256];
    int dtype, n_out, n_arg, n_dim, n_par;
    uint32_t salt;
    i64 scratch;
    double par[PN_MAX_PAR];
    i64 dim[PN_MAX_DIM];
    operand arg[PN_MAX_ARG];
} one_case;

static int failures = 0;

static const unsigned char *at, *end;

static void take(void *to, size_t n) {
    if ((size_t)(end - at) < n) {
        fprintf(stderr, "driver: the file of cases ends too early\n");
        exit(2);
    }
    memcpy(to, at, n);
    at += n;
}

static void take_text(char *to) {
    uint32_t n;
    take(&n, 4);
    if (n > 255) exit(2);
    take(to, n);
    to[n] = 0;
}

static void take_case(one_case *c) {
    int32_t head[2];
    uint32_t word[7];
    i64 count;
    take_text(c->name);
    take_text(c->label);
    take(word, 8);
    take(&c->scratch, 8);
    take(word + 2, 16);
    c->dtype = (int)word[0], c->salt = word[1];
    c->n_out = (int)word[2], c->n_arg = (int)word[3], c->n_dim = (int)word[4], c->n_par = (int)word[5];
    if (c->dtype >= PN_DTYPES || c->n_arg > PN_MAX_ARG || c->n_dim > PN_MAX_DIM || c->n_par > PN_MAX_PAR) exit(2);
    memset(c->dim, 0, sizeof c->dim); /* as an instruction has them beyond those that a card gives */
    memset(c->par, 0, sizeof c->par);
    take(c->dim, 8 * (size_t)c->n_dim);
    take(c->par, 8 * (size_t)c->n_par);
    for (int i = 0; i < c->n_arg; i++) {
        operand *o = &c->arg[i];
        memset(o, 0, sizeof *o);
        take(head, 8);
        take(&count, 8);
        o->kind = head[0], o->dtype = head[1], o->count = count;
        o->bytes = count * sizes[o->dtype];
        if (o->kind == STORED) {
            i64 padded = (o->bytes + 7) & ~(i64)7;
            if (end - at < padded) exit(2);
            o->stored = at;
            at += padded;
        } else if (o->kind == DRAWN) {
            take(&o->low, 8);
            take(&o->high, 8);
            take(&o->seed, 8);
        } else if (o->kind == SAME) {
            take(&o->same, 8);
        }
    }
}

static void *room(i64 bytes) {
    void *p = malloc((size_t)bytes + 2 * GUARD + 64);
    if (!p) {
        fprintf(stderr, "driver: out of memory for %lld bytes\n", (long long)bytes);
        exit(2);
    }
    return p;
}

/* Fills the operands of a run; all of them lie on 64-byte borders. */
static void fill(one_case *c) {
    for (int i = 0; i < c->n_arg; i++) {
        operand *o = &c->arg[i];
        if (o->kind == NONE || o->kind == SAME) continue;
        memset(o->memory - GUARD, 0xA5, GUARD);
        memset(o->memory + o->bytes, 0xA5, GUARD);
        if (o->kind == STORED) memcpy(o->memory, o->stored, (size_t)o->bytes);
        else wt_draw(o->memory, o->dtype == PN_F64, o->count, o->low, o->high, o->seed);
    }
}

static uint64_t hash_outputs(one_case *c, uint64_t h) {
    for (int i = 0; i < c->n_arg; i++) {
        operand *o = &c->arg[i];
        if (o->kind == NONE || o->kind == SAME) continue;
        for (int k = 0; k < GUARD; k++)
            if (o->memory[-1 - k] != 0xA5 || o->memory[o->bytes + k] != 0xA5) {
                printf("! %s: wrote outside operand %d (%s)\n", c->name, i, c->label);
                failures++;
                break;
            }
        h = wt_hash(h, o->memory, o->dtype == PN_F32 ? 4 : o->dtype == PN_F64 ? 8 : 1, o->dtype < 2 ? o->count : o->bytes);
    }
    return h;
}

/* A table: its name and building blocks, and what varies from run to run without changing a bit: the number of threads,
 * or the order of a device's threads. */
typedef struct one_table {
    const char *name, *varies;
    const pn_ops *ops;
    void (*vary)(int);
} one_table;

static void run_case(one_case *c, i64 number, const one_table *table, pn_kernel fn, const int *values, int runs) {
    uint64_t first = 0;
    pn_instr I;
    for (int r = 0; r < runs; r++) {
        memset(&I, 0, sizeof I);
        fill(c);
        for (int i = 0; i < c->n_arg; i++) {
            const operand *o = &c->arg[i];
            I.arg[i] = o->kind == NONE ? NULL : o->kind == SAME ? c->arg[o->same].memory : o->memory;
        }
        memcpy(I.dim, c->dim, sizeof I.dim);
        memcpy(I.par, c->par, sizeof I.par);
        void *scratch = c->scratch ? room(c->scratch) : NULL;
        if (scratch) {
            I.scratch = (void *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
            I.scratch_bytes = c->scratch;
            memset(I.scratch, 0xA5, (size_t)c->scratch + GUARD);
        }
        I.nth = 4; /* what record.py booked scratch memory for */
        I.salt = c->salt;
        I.fn = fn;
        I.ops = table->ops;
        table->vary(values[r]);
        int status = fn(&I);
        for (int k = 0; scratch && k < GUARD; k++)
            if (((unsigned char *)I.scratch)[c->scratch + k] != 0xA5) {
                printf("! %s: wrote outside its scratch memory (%s)\n", c->name, c->label);
                failures++;
                break;
            }
        free(scratch);
        if (status < 0) return; /* the table does not take this instruction */
        uint64_t h = hash_outputs(c, WT_SEED + (uint64_t)status);
        if (r == 0) first = h;
        else if (h != first) {
            printf("! %s: %d %s give other bits than %d (%s, %s)\n", c->name, values[r], table->varies, values[0], table->name,
                   c->label);
            failures++;
        }
    }
    printf("%s %s %s %lld %016llx\n", table->name, c->name, dtype_names[c->dtype], (long long)number,
           (unsigned long long)first);
}

/* The case in every table of this program. */
#ifdef WT_CUDA
static void run_tables(one_case *c, i64 number, const int *threads, int runs) {
    static const int orders[] = {0, 1};
    const one_table table = {"cuda", "as order", NULL, set_order};
    const pn_kernel fn = pn_shim_kernel(c->name, c->dtype);
    (void)threads, (void)runs;
    if (fn) run_case(c, number, &table, fn, orders, 2);
}
#else
static void run_tables(one_case *c, i64 number, const int *threads, int runs) {
    for (int t = 0; t < PN_ISA_COUNT; t++) {
        const one_table table = {pn_target_name(t), "threads", pn_find_ops(c->dtype, t, 0), pn_set_threads};
        const pn_kernel fn = pn_own_kernel(c->name, c->dtype, t);
        if (fn && pn_target_available(t)) run_case(c, number, &table, fn, threads, runs);
    }
}
#endif

static unsigned char *read_file(const char *path, size_t *n) {
    FILE *file = fopen(path, "rb");
    unsigned char *data;
    long size;
    if (!file || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 16 || fseek(file, 0, SEEK_SET) != 0) {
        fprintf(stderr, "driver: cannot read %s\n", path);
        exit(2);
    }
    data = room(size);
    *n = fread(data, 1, (size_t)size, file);
    fclose(file);
    if (*n != (size_t)size || memcmp(data, "PNCASES1", 8) != 0) {
        fprintf(stderr, "driver: %s is no file of cases\n", path);
        exit(2);
    }
    return data;
}

static one_case now;

int main(int argc, char **argv) {
    int threads[MOST_RUNS] = {1, 2, 4}, runs = argc > 2 ? 0 : 3;
    i64 cases;
    size_t n;
    if (argc < 2) {
        fprintf(stderr, "usage: driver CASES [THREADS ...]\n");
        return 2;
    }
    for (int i = 2; i < argc && runs < MOST_RUNS; i++) threads[runs++] = atoi(argv[i]);
    at = read_file(argv[1], &n);
    end = at + n;
    at += 8;
    take(&cases, 8);
    pn_cpu_init();
    pn_threads_init(4, 1);
    i64 kernels = pn_kernel_count();
    char *met = room(kernels);
    memset(met, 0, (size_t)kernels);
    for (i64 k = 0; k < cases; k++) {
        unsigned char *base[PN_MAX_ARG];
        take_case(&now);
        for (i64 j = 0; j < kernels; j++)
            if (strcmp(pn_kernel_name(j), now.name) == 0) met[j] = 1;
        for (int i = 0; i < now.n_arg; i++) {
            operand *o = &now.arg[i];
            base[i] = o->kind == STORED || o->kind == DRAWN ? room(o->bytes) : NULL;
            o->memory = base[i] ? (unsigned char *)(((uintptr_t)base[i] + GUARD + 63) & ~(uintptr_t)63) : NULL;
        }
        run_tables(&now, k, threads, runs);
        for (int i = 0; i < now.n_arg; i++) free(base[i]);
    }
#ifndef WT_CUDA /* a device has no building blocks */
    failures += wt_blocks(threads, runs);
#endif
    for (i64 j = 0; j < kernels; j++)
        if (!met[j]) {
            printf("! %s: no case\n", pn_kernel_name(j));
            failures++;
        }
    free(met);
    fflush(stdout);
    return failures != 0;
}
