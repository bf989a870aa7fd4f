#include "cuda_launch.h"

#include <string.h>

#include "cuda/launch.h"

/* One text instead of a table of pointers, which the loader would have to move. */
#define NAME(name, symbol, phases, expression) #symbol "\0"
static const char symbols[] = PN_CUDA_KERNELS(NAME);
static const char of_any_dtype[] = PN_CUDA_BYTES(NAME);
#define PHASES(name, symbol, phases, expression) phases,
static const unsigned char phases_of[] = {PN_CUDA_KERNELS(PHASES)};
#define NUMBER(name, symbol, phases, expression) CUDA_##symbol,
enum { PN_CUDA_KERNELS(NUMBER) CUDA_COUNT };

static int place(const char *in, const char *symbol) {
    int k = 0;
    for (; *in; in += strlen(in) + 1, k++)
        if (strcmp(in, symbol) == 0) return k;
    return -1;
}

int pn_cuda_kernel(const char *name, int dtype) {
    char symbol[64];
    const char *suffix = dtype == PN_I32 ? "_i32" : dtype == PN_I64 ? "_i64" : "";
    if (place(of_any_dtype, name) >= 0) suffix = "";
    else if (dtype == PN_F64 || dtype == PN_U8 || dtype == PN_BOOL) return -1;
    if (strlen(name) + strlen(suffix) >= sizeof symbol) return -1;
    strcpy(symbol, name);
    strcat(symbol, suffix);
    return place(symbols, symbol);
}

const char *pn_cuda_symbol(int kernel) {
    const char *at = symbols;
    while (kernel-- > 0) at += strlen(at) + 1;
    return at;
}
int pn_cuda_phases(int kernel) { return phases_of[kernel]; }

#define CASE(name, symbol, phases, expression) \
    case CUDA_##symbol: l = expression; break;
void pn_cuda_grid(int kernel, const pn_instr *I, int phase, unsigned *grid, unsigned *block) {
    pn_launch l = pn_launch_none();
    switch (kernel) { PN_CUDA_KERNELS(CASE) }
    *grid = l.grid;
    *block = l.block;
}
