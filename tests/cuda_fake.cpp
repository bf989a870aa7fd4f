/* A driver of CUDA without a GPU, for tests: its kernels are those of csrc/cuda, run on this machine through their shim.
 *
 * It is strict where a real one would fail later or not at all. Memory of the device cannot be touched outside a call of
 * the driver; pointers in instructions must lie in memory that was allocated; a graph is a chain; a launch has the
 * blocks and threads that csrc/cuda/launch.h says. fake_set(name, value) makes it another machine, lets threads run in
 * another order, or makes one function fail; FAKE_CUDA="name=value ..." does so where no test can call it. Compiled with
 * AddressSanitizer it has that watch the bytes before and behind each piece of the device's memory. */
#include "shim_table.cpp"

#include <map>
#include <string>
#include <sys/mman.h>
#include <vector>

enum { OK = 0, BAD_VALUE = 1, NO_MEMORY = 2, NO_DEVICE = 100, NO_BINARY = 209, NO_CONTEXT = 201, BAD_HANDLE = 400,
       NOT_FOUND = 500, BAD_ADDRESS = 700, BAD_LAUNCH = 719 };

typedef struct {
    void (*kernel)(const pn_instr, int, int *);
    pn_launch (*launch)(const pn_instr *, int);
} fake_function;
#define FAKE_ROW(name, symbol, phases, expression) {#symbol, {symbol, pn_launch_##symbol}},
#define FAKE_LOW(symbol) \
    {#symbol "_high", {symbol##_high, pn_launch_##symbol}}, {#symbol "_medium", {symbol##_medium, pn_launch_##symbol}},
static std::map<std::string, fake_function> fake_kernels = {PN_CUDA_KERNELS(FAKE_ROW) PN_CUDA_PRODUCTS(FAKE_LOW)};

struct fake_node {
    fake_function *function;
    unsigned grid, block;
    pn_instr instr;
    int phase, *status;
};
typedef std::vector<fake_node> fake_graph;
struct node_params {
    void *function;
    unsigned grid[3], block[3], shared;
    void **arguments, **extra;
};

static std::map<std::string, long long> fake_machine = {
    {"devices", 1}, {"driver", 13000}, {"memory", 1LL << 32}, {"sm", 90}};
static std::map<std::string, long long> fake_failures; /* of a function: the status that it returns */
static std::map<std::string, long long> fake_calls;
static std::map<char *, size_t> fake_memory;
static long long fake_used = 0, fake_running = 0;
static thread_local int fake_current = 0;
static int fake_context;

extern "C" void fake_set(const char *name, long long value) {
    if (strcmp(name, "order") == 0) pn_shim_order = (int)value;
    (strncmp(name, "cu", 2) ? fake_machine : fake_failures)[name] = value;
}
extern "C" long long fake_count(const char *name) { return strcmp(name, "bytes") ? fake_calls[name] : fake_used; }

/* Bytes round each piece that nobody may touch. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
enum { FAKE_FENCE = 1 << 16 };
#else
enum { FAKE_FENCE = 0 };
#define ASAN_POISON_MEMORY_REGION(at, bytes)
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes)
#endif
static size_t fake_pages(size_t bytes) { return (bytes + 4095) / 4096 * 4096 + 2 * FAKE_FENCE; }

static void fake_lock(int rights) {
    for (auto &one : fake_memory) mprotect(one.first, one.second, rights);
}
/* Memory is open inside of this. */
struct fake_open {
    fake_open() { fake_lock(PROT_READ | PROT_WRITE); }
    ~fake_open() { fake_lock(PROT_NONE); }
};
static bool fake_holds(const void *at, size_t bytes) {
    auto after = fake_memory.upper_bound((char *)at);
    if (after == fake_memory.begin()) return false;
    auto one = std::prev(after);
    return (char *)at + bytes <= one->first + one->second;
}

#define BEGIN(name)                                              \
    fake_calls[#name]++;                                         \
    if (fake_failures.count(#name) && fake_failures[#name]) return (int)fake_failures[#name];
#define CURRENT \
    if (!fake_current) return NO_CONTEXT;

extern "C" {
int cuInit(unsigned) {
    BEGIN(cuInit)
    const char *text = getenv("FAKE_CUDA");
    for (std::string rest = text ? text : ""; !rest.empty();) {
        const std::string one = rest.substr(0, rest.find(' '));
        const size_t at = one.find('=');
        if (at != std::string::npos) fake_set(one.substr(0, at).c_str(), atoll(one.c_str() + at + 1));
        rest = rest.size() > one.size() ? rest.substr(one.size() + 1) : "";
    }
    return fake_machine["devices"] ? OK : NO_DEVICE;
}
int cuDriverGetVersion(int *v) {
    BEGIN(cuDriverGetVersion)
    *v = (int)fake_machine["driver"];
    return OK;
}
int cuGetErrorString(int status, const char **text) {
    *text = status == NO_MEMORY ? "out of memory" : status == BAD_ADDRESS ? "an illegal memory access" : "a failure";
    return OK;
}
int cuDeviceGetCount(int *n) {
    BEGIN(cuDeviceGetCount)
    *n = (int)fake_machine["devices"];
    return OK;
}
int cuDeviceGet(int *device, int k) {
    BEGIN(cuDeviceGet)
    *device = 7;
    return k < fake_machine["devices"] ? OK : 101;
}
int cuDeviceGetName(char *name, int size, int device) {
    BEGIN(cuDeviceGetName)
    snprintf(name, (size_t)size, "Fake GPU");
    return device == 7 ? OK : 101;
}
int cuDeviceGetAttribute(int *value, int which, int device) {
    BEGIN(cuDeviceGetAttribute)
    *value = (int)(which == 75 ? fake_machine["sm"] / 10 : fake_machine["sm"] % 10);
    return device == 7 && (which == 75 || which == 76) ? OK : BAD_VALUE;
}
int cuDeviceTotalMem_v2(size_t *bytes, int) {
    BEGIN(cuDeviceTotalMem_v2)
    *bytes = (size_t)fake_machine["memory"];
    return OK;
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
    BEGIN(cuDevicePrimaryCtxRetain)
    *context = &fake_context;
    return device == 7 ? OK : 101;
}
int cuCtxSetCurrent(void *context) {
    BEGIN(cuCtxSetCurrent)
    fake_current = context == &fake_context;
    return fake_current ? OK : NO_CONTEXT;
}
int cuMemGetInfo_v2(size_t *available, size_t *total) {
    BEGIN(cuMemGetInfo_v2)
    CURRENT
    *total = (size_t)fake_machine["memory"];
    *available = *total - (size_t)fake_used;
    return OK;
}
/* Device code is a text, or what begins as nvcc's does: the kernels that run are those of this file. */
int cuModuleLoadData(void **module, const char *image) {
    BEGIN(cuModuleLoadData)
    CURRENT
    *module = &fake_kernels;
    const bool good = strcmp(image, "fake kernels") == 0 || strncmp(image, "\x50\xED\x55\xBA", 4) == 0;
    return !good || fake_machine["sm"] < 75 ? NO_BINARY : OK;
}
int cuModuleGetFunction(void **function, void *module, const char *symbol) {
    BEGIN(cuModuleGetFunction)
    CURRENT
    auto found = fake_kernels.find(symbol);
    if (module != &fake_kernels) return BAD_HANDLE;
    if (found == fake_kernels.end()) return NOT_FOUND;
    *function = &found->second;
    return OK;
}
int cuMemAlloc_v2(uint64_t *at, size_t bytes) {
    BEGIN(cuMemAlloc_v2)
    CURRENT
    if (bytes == 0) return BAD_VALUE;
    if ((long long)bytes + fake_used > fake_machine["memory"]) return NO_MEMORY;
    const size_t whole = fake_pages(bytes);
    char *first = (char *)mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (first == MAP_FAILED) return NO_MEMORY;
    char *made = first + FAKE_FENCE;
    ASAN_POISON_MEMORY_REGION(first, FAKE_FENCE);
    ASAN_POISON_MEMORY_REGION(made + bytes, whole - FAKE_FENCE - bytes);
    memset(made, 0xFF, bytes); /* NaN, so that nobody relies on what is there */
    mprotect(made, bytes, PROT_NONE);
    fake_memory[made] = bytes;
    fake_used += (long long)bytes;
    *at = (uint64_t)made;
    return OK;
}
int cuMemFree_v2(uint64_t at) {
    BEGIN(cuMemFree_v2)
    CURRENT
    auto found = fake_memory.find((char *)at);
    if (found == fake_memory.end()) return BAD_VALUE;
    ASAN_UNPOISON_MEMORY_REGION(found->first - FAKE_FENCE, fake_pages(found->second));
    munmap(found->first - FAKE_FENCE, fake_pages(found->second));
    fake_used -= (long long)found->second;
    fake_memory.erase(found);
    return OK;
}
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
    BEGIN(cuMemcpyHtoD_v2)
    CURRENT
    if (!fake_holds((void *)to, bytes)) return BAD_VALUE;
    fake_open all;
    fake_calls["sent"] += (long long)bytes;
    memcpy((void *)to, from, bytes);
    return OK;
}
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
    BEGIN(cuMemcpyDtoH_v2)
    CURRENT
    if (!fake_holds((void *)from, bytes)) return BAD_VALUE;
    fake_open all;
    memcpy(to, (void *)from, bytes);
    return OK;
}
int cuMemsetD8_v2(uint64_t to, unsigned char value, size_t bytes) {
    BEGIN(cuMemsetD8_v2)
    CURRENT
    if (!fake_holds((void *)to, bytes)) return BAD_VALUE;
    fake_open all;
    memset((void *)to, value, bytes);
    return OK;
}
int cuGraphCreate(void **graph, unsigned) {
    BEGIN(cuGraphCreate)
    CURRENT
    *graph = new fake_graph;
    return OK;
}
int cuGraphAddKernelNode(void **node, void *graph, void *const *before, size_t count, const node_params *params) {
    BEGIN(cuGraphAddKernelNode)
    CURRENT
    fake_graph *g = (fake_graph *)graph;
    fake_node n;
    if (count != (g->empty() ? 0u : 1u) || (count && before[0] != (void *)g->size())) return BAD_HANDLE;
    n.function = (fake_function *)params->function;
    n.grid = params->grid[0], n.block = params->block[0];
    memcpy(&n.instr, params->arguments[0], sizeof n.instr);
    memcpy(&n.phase, params->arguments[1], sizeof n.phase);
    memcpy(&n.status, params->arguments[2], sizeof n.status);
    const pn_launch at = n.function->launch(&n.instr, n.phase);
    if (at.grid != n.grid || at.block != n.block || params->shared || params->extra) return BAD_VALUE;
    if (params->grid[1] * params->grid[2] * params->block[1] * params->block[2] != 1) return BAD_VALUE;
    g->push_back(n);
    *node = (void *)g->size();
    return OK;
}
int cuGraphInstantiateWithFlags(void **made, void *graph, unsigned long long) {
    BEGIN(cuGraphInstantiateWithFlags)
    CURRENT
    *made = new fake_graph(*(fake_graph *)graph);
    return OK;
}
int cuGraphDestroy(void *graph) {
    BEGIN(cuGraphDestroy)
    delete (fake_graph *)graph;
    return OK;
}
int cuGraphExecDestroy(void *graph) {
    BEGIN(cuGraphExecDestroy)
    delete (fake_graph *)graph;
    return OK;
}
int cuGraphLaunch(void *graph, void *stream) {
    BEGIN(cuGraphLaunch)
    CURRENT
    if (stream || fake_running++) return BAD_HANDLE;
    for (const fake_node &n : *(fake_graph *)graph) { /* checked before anything runs */
        const pn_instr &I = n.instr;
        bool good = fake_holds(n.status, sizeof(int)) && !I.fn && !I.ops && !I.kept;
        for (void *p : I.arg) good = good && (!p || fake_holds(p, 0));
        good = good && (!I.scratch || fake_holds(I.scratch, (size_t)I.scratch_bytes));
        if (!good) {
            fake_running = 0;
            return BAD_ADDRESS;
        }
    }
    fake_open all;
    for (const fake_node &n : *(fake_graph *)graph) {
        struct run {
            const fake_node *node;
            static void thread(void *argument) {
                const fake_node *n = ((run *)argument)->node;
                n->function->kernel(n->instr, n->phase, n->status);
            }
        } one = {&n};
        shim_launch(n.grid, n.block, n.function->launch(&n.instr, n.phase).cooperates, pn_shim_order, run::thread, &one);
        fake_calls["kernels"]++;
    }
    fake_running = 0;
    return OK;
}
}
