/* The kernels of a CUDA device, one more table of the same kernels. nvcc compiles this for GPUs, and any C++ compiler
 * for the CPU through shim.h. What each file holds stands in its first lines; kernels.def lists the kernels with their
 * launches. */
#include "elementwise.h"
#include "images.h"
#include "lengths.h"
#include "loss.h"
#include "conv.h"
#include "matmul.h"
#include "move.h"
#include "norm.h"
#include "optim.h"
#include "pooling.h"
#include "random.h"
#include "recurrent.h"
#include "reduce.h"
#include "softmax.h"
