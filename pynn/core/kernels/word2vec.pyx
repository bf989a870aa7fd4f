"""Training of word vectors on a block of text (word2vec), with the same result for any number of threads.

The block is thinned (frequent words are dropped at random), then cut into batches of neighbouring words, and those into
chunks of CHUNK (a smaller batch is one chunk). A batch takes two parallel steps: every chunk draws its windows and its
negative words and computes its changes from the weights as they were before the batch, touching none; then the changes
are added, every row by one thread, in the order of the text. Random numbers depend on the seed and the place in the
text alone.

word2vec_block   MUTATES rows [R,S], sums f64 [3]: loss, predictions, words that were not dropped;
  IN rate [2] (at the begin and the end of the block), ids int32 [n] (-1 between sentences), keep u32 [V] or NULL (a
  word stays if 32 random bits are at most this), alias u32 [V,2] or NULL (threshold and other word: the alias method),
  path int32 [V+1], node int32, code u8 or NULL (the Huffman code of each word)
  Rows of the weights: the words [V], with alias the words as predictions [V], with path the inner nodes [V-1].
  dim: n, V, S, window, shrink, skipgram, mean, negative, batch, key, longest path. Cost: see csrc/kernels/words.h.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset

from pynn.core._core cimport PN_BAD_INDEX, pn_instr, pn_ops, pn_words

from pynn.core import _core

cdef enum:
    CHUNK = 32  # positions of the thinned text that are worked on in one go
    BUCKETS = 16  # sets of rows; a set is changed by one thread

cdef enum:
    ARG_ROWS, ARG_SUMS, ARG_RATE, ARG_IDS, ARG_KEEP, ARG_ALIAS, ARG_PATH, ARG_NODE, ARG_CODE

cdef enum:
    DIM_N, DIM_V, DIM_S, DIM_WINDOW, DIM_SHRINK, DIM_SKIPGRAM, DIM_MEAN, DIM_NEGATIVE, DIM_BATCH, DIM_KEY
    DIM_LONGEST, DIM_COUNT


cdef struct Job:
    const pn_instr *I
    const pn_ops *ops
    char *rows
    int32_t *ids  # the thinned text
    const uint32_t *alias
    const int32_t *path
    const int32_t *node
    const uint8_t *code
    char *slots  # one chunk each
    int64_t n, V, S, window, most, size  # most: targets of a center
    int64_t kept, batch, chunk, lo, hi
    int shrink, skipgram, negative
    uint64_t key
    double rate


cdef struct Slot:
    pn_words w
    int32_t *at
    int32_t *left
    int32_t *right
    int32_t *start
    int32_t *target
    uint8_t *label
    int32_t *entry
    int32_t *bucket  # [BUCKETS + 1]: where its entries begin
    int64_t predictions


cdef inline uint64_t mixed(uint64_t z) noexcept nogil:
    """Return well mixed bits (the finalizer of SplitMix64)."""
    z = (z ^ (z >> 30)) * <uint64_t>0xbf58476d1ce4e5b9
    z = (z ^ (z >> 27)) * <uint64_t>0x94d049bb133111eb
    return z ^ (z >> 31)


cdef inline uint64_t draw(uint64_t *state) noexcept nogil:
    """Return the next 64 random bits (SplitMix64)."""
    state[0] += <uint64_t>0x9e3779b97f4a7c15
    return mixed(state[0])


cdef inline int64_t below(uint64_t word, int64_t n) noexcept nogil:
    """Return a number in [0, n) from the high half of a random word."""
    return <int64_t>(((word >> 32) * <uint64_t>n) >> 32)


cdef inline char *part(char **at, int64_t nbytes) noexcept nogil:
    cdef char *start = at[0]
    at[0] += (nbytes + 63) // 64 * 64
    return start


cdef int64_t place(const Job *j, Slot *s, char *base) noexcept nogil:
    """Point the slot's arrays into memory at `base`; return the bytes that they take."""
    cdef char *at = base
    cdef int64_t most4 = (j.most + 3) // 4 * 4, targets = j.chunk * j.most, span = j.chunk + 2 * j.window
    cdef int64_t inputs = 2 * j.window if j.skipgram else 1
    part(&at, sizeof(Slot))
    s.at = <int32_t *>part(&at, CHUNK * 4)
    s.left = <int32_t *>part(&at, CHUNK * 4)
    s.right = <int32_t *>part(&at, CHUNK * 4)
    s.start = <int32_t *>part(&at, (CHUNK + 1) * 4)
    s.target = <int32_t *>part(&at, targets * 4)
    s.label = <uint8_t *>part(&at, targets)
    s.entry = <int32_t *>part(&at, 12 * (targets + span))
    s.bucket = <int32_t *>part(&at, (BUCKETS + 1) * 4)
    s.w.pointers = part(&at, (most4 + 2 * j.window) * sizeof(void *))
    s.w.tmp = part(&at, ((1 + inputs) * most4 + 16) * j.size)
    s.w.src = part(&at, (span + (targets if j.skipgram else j.chunk)) * j.S * j.size)
    s.w.coef = part(&at, (1 + targets) * j.size)
    return at - base


cdef void setup(Job *j, const int64_t *dim, int size, int has_path) noexcept nogil:
    memset(j, 0, sizeof(Job))
    j.n, j.V, j.S, j.window = dim[DIM_N], dim[DIM_V], dim[DIM_S], dim[DIM_WINDOW]
    j.shrink, j.skipgram, j.negative = <int>dim[DIM_SHRINK], <int>dim[DIM_SKIPGRAM], <int>dim[DIM_NEGATIVE]
    j.batch, j.chunk = dim[DIM_BATCH], min(dim[DIM_BATCH], <int64_t>CHUNK)
    j.key = <uint64_t>dim[DIM_KEY]
    j.most = (1 + j.negative if j.negative else 0) + (dim[DIM_LONGEST] if has_path else 0)
    j.size = size


cdef int64_t ids_bytes(const Job *j) noexcept nogil:
    return (j.n * 4 + 63) // 64 * 64


def block_scratch(tuple dims, int itemsize, bint has_path):
    """Return the bytes of scratch memory that word2vec_block needs."""
    cdef Job j
    cdef Slot s
    cdef int64_t dim[DIM_COUNT]
    cdef int i
    for i in range(DIM_COUNT):
        dim[i] = dims[i]
    setup(&j, dim, itemsize, has_path)
    return ids_bytes(&j) + j.batch // j.chunk * place(&j, &s, NULL)


cdef int thin(Job *j, const int32_t *ids, const uint32_t *keep) noexcept nogil:
    """Copy the words that stay, and the ends of sentences."""
    cdef int64_t i, kept = 0
    cdef int32_t word
    cdef uint64_t key = mixed(j.key + 1)
    for i in range(j.n):
        word = ids[i]
        if word >= j.V or word < -1:
            return PN_BAD_INDEX
        j.ids[kept] = word
        kept += (word < 0 or keep == NULL
                 or mixed(key + <uint64_t>i * <uint64_t>0x9e3779b97f4a7c15) >> 32 <= keep[word])
    j.kept = kept
    return 0


cdef int32_t draw_targets(const Job *j, Slot *s, int32_t word, int32_t at, uint64_t *state) noexcept nogil:
    """Write what a center predicts: itself and not the negative words; then the branches on its path in the tree."""
    cdef int64_t _k, i
    cdef int64_t base = j.V
    cdef uint64_t bits
    if j.negative:
        s.target[at], s.label[at] = <int32_t>(base + word), 1
        at += 1
        for _k in range(j.negative):
            bits = draw(state)
            i = below(bits, j.V)
            if <uint32_t>bits >= j.alias[2 * i]:
                i = j.alias[2 * i + 1]
            if i != word:
                s.target[at], s.label[at] = <int32_t>(base + i), 0
                at += 1
        base += j.V
    if j.path != NULL:
        for i in range(j.path[word], j.path[word + 1]):
            s.target[at], s.label[at] = <int32_t>(base + j.node[i]), <uint8_t>(1 - j.code[i])
            at += 1
    return at


cdef void draw_chunk(const Job *j, Slot *s, int64_t lo, int64_t hi) noexcept nogil:
    """Draw windows and targets of the centers at [lo, hi)."""
    cdef uint64_t state = mixed(j.key + <uint64_t>2 + <uint64_t>lo)
    cdef int64_t p, left, right, reach
    cdef int64_t c = 0, first = lo, last = hi - 1
    s.start[0] = 0
    s.predictions = 0
    for p in range(lo, hi):
        if j.ids[p] < 0:
            continue
        reach = 1 + below(draw(&state), j.window) if j.shrink else j.window
        left = right = p
        while left > 0 and p - left < reach and j.ids[left - 1] >= 0:
            left -= 1
        while right + 1 < j.kept and right - p < reach and j.ids[right + 1] >= 0:
            right += 1
        if left == right:
            continue
        first = min(first, left)
        last = max(last, right)
        s.at[c], s.left[c], s.right[c] = <int32_t>p, <int32_t>left, <int32_t>right
        s.start[c + 1] = draw_targets(j, s, j.ids[p], s.start[c], &state)
        s.predictions += right - left if j.skipgram else 1
        c += 1
    s.w.centers, s.w.first, s.w.span = c, first, last + 1 - first


cdef void sort_entries(const Job *j, Slot *s) noexcept nogil:
    """Order the changes of the chunk by bucket; within a bucket they stay in the order of the text."""
    cdef int32_t counts[BUCKETS]
    cdef int64_t i, c
    cdef int32_t row, at = 0
    cdef int32_t *e
    cdef const int32_t *ids = j.ids + s.w.first
    memset(counts, 0, sizeof(counts))
    for i in range(s.w.span):
        if ids[i] >= 0:
            counts[ids[i] % BUCKETS] += 1
    for i in range(s.start[s.w.centers]):
        counts[s.target[i] % BUCKETS] += 1
    for i in range(BUCKETS):
        s.bucket[i] = at
        at += counts[i]
        counts[i] = s.bucket[i]
    s.bucket[BUCKETS] = at
    for i in range(s.w.span):
        row = ids[i]
        if row >= 0:
            e = s.entry + 3 * counts[row % BUCKETS]
            e[0], e[1], e[2] = row, <int32_t>i, 0
            counts[row % BUCKETS] += 1
    for c in range(s.w.centers):
        for i in range(s.start[c], s.start[c + 1]):
            row = s.target[i]
            e = s.entry + 3 * counts[row % BUCKETS]
            e[0] = row
            e[1], e[2] = <int32_t>(s.w.span + (i if j.skipgram else c)), 0 if j.skipgram else <int32_t>(1 + i)
            counts[row % BUCKETS] += 1


cdef void grad_range(void *ctx, int64_t lo, int64_t hi, int ith) noexcept nogil:
    cdef const Job *j = <const Job *>ctx
    cdef Slot *s = slot_of(j, lo // j.chunk)
    draw_chunk(j, s, j.lo + lo, j.lo + hi)
    sort_entries(j, s)
    s.w.rate = j.rate
    j.ops.word_grads(&s.w)


cdef void add_range(void *ctx, int64_t lo, int64_t hi, int ith) noexcept nogil:
    cdef const Job *j = <const Job *>ctx
    cdef int64_t c, chunks = (j.hi - j.lo + j.chunk - 1) // j.chunk
    cdef Slot *s
    for c in range(chunks):
        s = slot_of(j, c)
        j.ops.add_rows(j.rows, j.S, s.w.src, s.w.coef, s.entry + 3 * s.bucket[lo], s.bucket[hi] - s.bucket[lo])


cdef inline Slot *slot_of(const Job *j, int64_t i) noexcept nogil:
    cdef Slot unused
    return <Slot *>(j.slots + i * place(j, &unused, NULL))


cdef int word2vec_block(const pn_instr *I) noexcept nogil:
    cdef Job j
    cdef Slot *s
    cdef double *sums = <double *>I.arg[ARG_SUMS]
    cdef double begin, end, cost
    cdef int64_t i, chunks
    setup(&j, I.dim, I.ops.itemsize, I.arg[ARG_PATH] != NULL)
    j.I, j.ops = I, I.ops
    j.rows = <char *>I.arg[ARG_ROWS]
    j.ids = <int32_t *>I.scratch
    j.slots = <char *>I.scratch + ids_bytes(&j)
    j.alias, j.path = <const uint32_t *>I.arg[ARG_ALIAS], <const int32_t *>I.arg[ARG_PATH]
    j.node, j.code = <const int32_t *>I.arg[ARG_NODE], <const uint8_t *>I.arg[ARG_CODE]
    if thin(&j, <const int32_t *>I.arg[ARG_IDS], <const uint32_t *>I.arg[ARG_KEEP]):
        return PN_BAD_INDEX
    for i in range(j.batch // j.chunk):
        s = slot_of(&j, i)
        memset(s, 0, sizeof(Slot))
        place(&j, s, <char *>s)
        s.w.stride, s.w.rows, s.w.ids = j.S, j.rows, j.ids
        s.w.at, s.w.left, s.w.right, s.w.start = s.at, s.left, s.right, s.start
        s.w.target, s.w.label = s.target, s.label
        s.w.most_targets = (j.most + 3) // 4 * 4
        s.w.skipgram, s.w.mean = j.skipgram, <int>I.dim[DIM_MEAN]
    if j.size == 4:
        begin, end = (<float *>I.arg[ARG_RATE])[0], (<float *>I.arg[ARG_RATE])[1]
    else:
        begin, end = (<double *>I.arg[ARG_RATE])[0], (<double *>I.arg[ARG_RATE])[1]
    # Nanoseconds of a step, for one thread: about 2 (skip-gram: each of some window inputs) row operations a target.
    cost = 0.03 * j.S * (j.most + j.window) * (j.window if j.skipgram else 1) + 60
    while j.lo < j.kept:
        j.hi = min(j.lo + j.batch, j.kept)
        j.rate = begin + (end - begin) * (<double>j.lo / j.kept)
        j.ops.parallel(j.hi - j.lo, j.chunk, cost * (j.hi - j.lo), I.nth, grad_range, &j)
        j.ops.parallel(BUCKETS, 1, 0.5 * cost * (j.hi - j.lo), I.nth, add_range, &j)
        chunks = (j.hi - j.lo + j.chunk - 1) // j.chunk
        for i in range(chunks):
            s = slot_of(&j, i)
            sums[0] += s.w.loss
            sums[1] += s.predictions
        j.lo = j.hi
    for i in range(j.kept):
        sums[2] += j.ids[i] >= 0
    return 0


for _dtype in (0, 1):
    _core.register_kernel("word2vec_block", _dtype, <uintptr_t><void *>word2vec_block)
