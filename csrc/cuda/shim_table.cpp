/* The device kernels as a table of kernels for the CPU, through shim.h: what tests compare with the other tables. */
#include "kernels.cu"

extern "C" {
int pn_shim_order = 0; /* of blocks and threads, see shim.h */
pn_kernel pn_shim_kernel(const char *name, int dtype);
}

struct launched {
    void (*kernel)(const pn_instr, int, int *);
    const pn_instr *instr;
    int phase, status;
};

static void run_thread(void *argument) {
    launched *l = (launched *)argument;
    l->kernel(*l->instr, l->phase, &l->status);
}

/* All phases; PN_SHIM_NOWHERE where the instruction has no device version. */
enum { PN_SHIM_NOWHERE = -1 };
static int run_phases(const pn_instr *I, void (*kernel)(const pn_instr, int, int *),
                      pn_launch (*launch)(const pn_instr *, int), int phases) {
    launched l = {kernel, I, 0, PN_OK};
    for (; l.phase < phases; l.phase++) {
        const pn_launch at = launch(I, l.phase);
        if (at.grid == 0) return PN_SHIM_NOWHERE;
        shim_launch(at.grid, at.block, at.cooperates, pn_shim_order, run_thread, &l);
    }
    return l.status;
}

#define SHIM_RUN(name, symbol, phases, expression) \
    static int run_##symbol(const pn_instr *I) { return run_phases(I, symbol, pn_launch_##symbol, phases); }
PN_CUDA_KERNELS(SHIM_RUN)

struct shim_entry {
    const char *name;
    pn_kernel fn;
};
#define SHIM_ROW(name, symbol, phases, expression) {#symbol, run_##symbol},
static const shim_entry every[] = {PN_CUDA_KERNELS(SHIM_ROW){NULL, NULL}};
static const shim_entry of_any_dtype[] = {PN_CUDA_BYTES(SHIM_ROW){NULL, NULL}};

static pn_kernel found(const shim_entry *table, const char *symbol) {
    for (; table->name; table++)
        if (strcmp(table->name, symbol) == 0) return table->fn;
    return NULL;
}

/* The kernel of the name for the dtype, NULL if there is no device version. */
pn_kernel pn_shim_kernel(const char *name, int dtype) {
    char symbol[64];
    const pn_kernel any = found(of_any_dtype, name);
    if (any || (dtype != PN_F32 && dtype != PN_I32 && dtype != PN_I64)) return any;
    snprintf(symbol, sizeof symbol, "%s%s", name, dtype == PN_F32 ? "" : dtype == PN_I32 ? "_i32" : "_i64");
    return found(every, symbol);
}
