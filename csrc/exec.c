/* Running a program: one kernel after the other. */
#include "pn.h"

#if defined(_WIN32)
#include <windows.h>
static double now_ns(void) {
    LARGE_INTEGER t, f;
    QueryPerformanceCounter(&t);
    QueryPerformanceFrequency(&f);
    return 1e9 * (double)t.QuadPart / (double)f.QuadPart;
}
#else
#include <time.h>
static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}
#endif

pn_blas pn_blas_table = {NULL, NULL};

int pn_run(const pn_instr *code, i64 n, i64 *where) {
    for (i64 i = 0; i < n; i++) {
        int status = code[i].fn(&code[i]);
        if (status != PN_OK) {
            *where = i;
            return status;
        }
    }
    return PN_OK;
}

int pn_run_timed(const pn_instr *code, i64 n, i64 *where, double *ns) {
    for (i64 i = 0; i < n; i++) {
        double start = now_ns();
        int status = code[i].fn(&code[i]);
        ns[i] += now_ns() - start;
        if (status != PN_OK) {
            *where = i;
            return status;
        }
    }
    return PN_OK;
}
