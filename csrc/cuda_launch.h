/* Where the kernels of csrc/cuda are launched, for whoever builds a device's program: nothing here needs a device. */
#ifndef PN_CUDA_LAUNCHES_H
#define PN_CUDA_LAUNCHES_H

#include "pn.h"

/* The number of the device kernel of a name for a dtype (PN_F32 ...); -1 if there is none. */
int pn_cuda_kernel(const char *name, int dtype);
const char *pn_cuda_symbol(int kernel);
int pn_cuda_phases(int kernel);
/* Blocks and threads of a phase; no blocks in the first where this instruction has no device version. */
void pn_cuda_grid(int kernel, const pn_instr *I, int phase, unsigned *grid, unsigned *block);

#endif
