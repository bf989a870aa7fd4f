# The C ABI of csrc/ and the classes of pynn.core._core, for the compiled parts of pynn.
cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "pn.h" nogil:
    int pn_roots_apart
    ctypedef int64_t i64
    int PN_MAX_ARG
    int PN_MAX_DIM
    int PN_MAX_PAR
    int PN_OK
    int PN_F32
    int PN_F64
    ctypedef struct pn_instr:
        int (*fn)(const pn_instr *I) noexcept nogil
        void **arg
        i64 *dim
        double *par
        void *scratch
        i64 scratch_bytes
        int nth
        uint32_t salt
        const pn_ops *ops
        void *kept
        int keeping
    ctypedef int (*pn_kernel)(const pn_instr *I) noexcept nogil
    ctypedef void (*pn_gemm_done)(void *, void *, i64, i64, i64, i64, i64) noexcept nogil
    ctypedef struct pn_gemm_call:
        i64 m, n, k
        const void *a
        i64 ars, acs
        const void *b
        i64 brs, bcs
        void *c
        i64 ldc
        int accumulate
        const void *bias
        int act
        double act_par
        const void *packed
        int pieces
        const i64 *cuts
        pn_gemm_done done
        void *done_ctx
        void *room
    ctypedef struct pn_update:
        i64 at, columns
    int PN_BAD_INDEX
    ctypedef struct pn_rnn_step:
        i64 rows, units, t
        const int32_t *lengths
        int act
        double act_par
        void *gates
        const void *cell_prev
        void *cell
        void *state
        void *masked
        const void *mask
        void *reset
        const void *bias
        const void *peep
        void *y
        i64 ldy
        void *dz
        void *dh
        void *dc
        const void *dy
        const void *prev
        const void *h0
        void *next
        i64 ldh
    int PN_RNN, PN_LSTM, PN_GRU, PN_GRU_AFTER
    int PN_RNN_BWD, PN_GRU_GATES, PN_GRU_STATES, PN_GRU_AFTER_STATES, PN_GRU_RESET_BWD
    ctypedef struct pn_words:
        i64 stride
        const void *rows
        const int32_t *ids
        i64 first, span
        i64 centers
        const int32_t *at
        const int32_t *left
        const int32_t *right
        const int32_t *start
        const int32_t *target
        const uint8_t *label
        i64 most_targets
        int skipgram, mean
        double rate
        void *pointers
        void *tmp
        void *src
        void *coef
        double loss
    ctypedef struct pn_ops:
        int itemsize
        int planes
        void (*gemm)(const pn_gemm_call *g, void *scratch, i64 scratch_bytes, int nth) noexcept nogil
        void (*act_grad)(int act, double p, void *dz, const void *dy, const void *y, i64 n, int nth) noexcept nogil
        void (*col_sum)(void *out, const void *x, i64 rows, i64 cols, int nth) noexcept nogil
        int lanes
        void (*parallel)(i64 n, i64 chunk, double cost, int nth, void (*fn)(void *, i64, i64, int) noexcept nogil,
                         void *ctx) noexcept nogil
        void (*pack)(void *dst, const void *b, i64 brs, i64 bcs, i64 n, i64 k, i64 rows) noexcept nogil
        void (*product)(i64 m, i64 n, i64 k, const void *a, i64 lda, const void *packed, void *c, i64 ldc, int add,
                        i64 rows) noexcept nogil
        void (*rnn_step)(int what, const pn_rnn_step *s) noexcept nogil
        void (*peep_grad)(void *dp, const void *dz, const void *c, i64 rows, i64 units, int gates_if) noexcept nogil
        void (*mul)(void *out, const void *a, const void *b, i64 n, int add) noexcept nogil
        void (*expand_mask)(void *out, const uint8_t *kept, double scale, i64 n) noexcept nogil
        void (*word_grads)(pn_words *w) noexcept nogil
        void (*add_rows)(void *rows, i64 stride, const void *src, const void *coef, const int32_t *entry,
                         i64 n) noexcept nogil
        double (*exp)(double x) noexcept nogil
        pn_gemm_done (*updating)(pn_update *u, const pn_instr *update, const void *dw, i64 columns) noexcept nogil
    ctypedef void (*pn_gemm_f32_fn)(int ta, int tb, i64 m, i64 n, i64 k, const float *a, i64 lda, const float *b,
                                    i64 ldb, float beta, float *c, i64 ldc) noexcept nogil
    ctypedef void (*pn_gemm_f64_fn)(int ta, int tb, i64 m, i64 n, i64 k, const double *a, i64 lda, const double *b,
                                    i64 ldb, double beta, double *c, i64 ldc) noexcept nogil
    ctypedef struct pn_blas:
        pn_gemm_f32_fn sgemm
        pn_gemm_f64_fn dgemm
    pn_blas pn_blas_table
    int pn_run(const pn_instr *code, i64 n, i64 *where)
    int pn_run_timed(const pn_instr *code, i64 n, i64 *where, double *ns)
    int pn_isa_best()
    int PN_TARGET_GENERIC
    int PN_ISA_COUNT
    int PN_TARGET_COUNT
    int pn_target_available(int target)
    const char *pn_target_name(int target)
    ctypedef struct pn_function:
        const char *name
        int act
        int of_x
    const pn_function pn_functions[1]
    int pn_target_fallback(int target)
    int pn_planes
    pn_kernel pn_own_kernel(const char *name, int dtype, int target)
    const pn_ops *pn_find_ops(int dtype, int target, int planes)
    i64 pn_kernel_count()
    const char *pn_kernel_name(i64 i)

cdef extern from "cuda_launch.h" nogil:
    int pn_cuda_kernel(const char *name, int dtype)
    const char *pn_cuda_symbol(int kernel)
    int pn_cuda_phases(int kernel)
    void pn_cuda_grid(int kernel, const pn_instr *I, int phase, unsigned int *grid, unsigned int *block)

cdef extern from "par.h" nogil:
    void pn_threads_init(int n, int asked)
    void pn_set_threads(int n)
    int pn_get_threads()
    int pn_has_openmp()
    int pn_has_threads()
    int pn_performance_cores()

cdef extern from "byte_dots.h" nogil:
    void pn_cpu_init()
    int pn_dots_quick()
    int pn_byte_units

cdef extern from "gemm_scratch.h" nogil:
    i64 pn_gemm_scratch_bytes(i64 m, i64 n, i64 k, int ta, int tb, i64 itemsize, int nth)
    i64 pn_gemm_pieces_bytes(i64 m, i64 n, i64 k, i64 itemsize, int nth)
    int PN_GEMM_ROOM


@cython.final
cdef class Buffer:
    cdef char *ptr
    cdef void *owned
    cdef readonly Py_ssize_t nbytes
    cdef readonly Py_ssize_t offset
    cdef readonly int kind
    cdef readonly object base
    cdef Py_ssize_t guard
    # Of a root: how many may be writing to it now, and how often somebody has.
    cdef int writers
    cdef uint64_t version
    cdef Buffer stand  # what a recording has in the place of its memory
    cpdef Buffer root(self)
    cdef Buffer stand_in(self, object recording)
    cdef i64 writes_(self) noexcept
    cdef inline void turn(self, bint ends) noexcept:
        self.version += ends
        self.writers += -1 if ends else 1


@cython.final
cdef class Instr:
    cdef pn_instr c
    cdef readonly tuple buffers
    cdef readonly int n_out
    cdef readonly object card
    cdef readonly object info
    cdef readonly Py_ssize_t scratch_bytes
    cdef readonly int dtype
    cdef readonly object laid
    cdef Buffer scratch


cdef struct place_entry:
    i64 instr
    int operand
    i64 offset

cdef struct input_entry:
    i64 instr
    int operand
    int slot
    i64 offset
    i64 nbytes
    int dim


@cython.final
cdef class Program:
    cdef pn_instr *code
    cdef place_entry *places
    cdef input_entry *inputs
    cdef i64 n, n_places, n_inputs
    cdef readonly int slots
    cdef readonly list instrs
    cdef readonly Py_ssize_t arena_bytes
    cdef list state  # what it writes to beside its arena and its slots
    cdef tuple written  # the slots that it writes to
    cdef list stores  # (instruction, dim) of gradients that are stored by the last run alone
    cdef list left  # (memory, flag) of kernels that rely on what they left there


@cython.final
cdef class Run:
    cdef readonly Program program
    cdef pn_instr *code
    cdef void *needed
    cdef readonly Buffer arena
    cdef list bound
    cdef int missing, slots_needed
    cdef void turn(self, bint ends) noexcept
    cdef void store(self, bint on) noexcept
    cdef bint busy
    cdef readonly Py_ssize_t failed_at
    cpdef place(self, Buffer arena)
    cpdef bind(self, int slot, object array)
    cpdef bind_all(self, list arrays)
    cdef int check_idle(self) except -1
    cdef int check_ready(self) except -1
    cdef int replay(self, i64 *where) noexcept


@cython.final
cdef class Arenas:
    cdef readonly list idle
    cpdef Buffer take(self, Py_ssize_t nbytes)
    cpdef give(self, Buffer arena)
