/* How many cores the processor has for heavy work, where the system tells: a default for the number of threads. */
#include "par.h"

#if defined(__APPLE__)
#include <sys/sysctl.h>

/* A core that saves power would be waited for by all others. */
int pn_performance_cores(void) {
    const char *const names[] = {"hw.perflevel0.physicalcpu", "hw.physicalcpu"};
    for (int i = 0; i < 2; i++) {
        int n = 0;
        size_t size = sizeof n;
        if (sysctlbyname(names[i], &n, &size, NULL, 0) == 0 && n > 0) return n;
    }
    return 0;
}

#elif defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

/* Cores of the fastest class that the process may use. Processors beyond 64 come in groups, of which it may use all. */
int pn_performance_cores(void) {
    static union {
        SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX first;
        char room[1 << 16];
    } found;
    DWORD size = sizeof found;
    DWORD_PTR mine = 0, all = 0;
    int cores = 0, fastest = -1;
    const int one_group = GetActiveProcessorGroupCount() == 1 && GetProcessAffinityMask(GetCurrentProcess(), &mine, &all);
    if (!GetLogicalProcessorInformationEx(RelationProcessorCore, &found.first, &size)) return 0;
    for (DWORD at = 0; at < size;) {
        const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *row = (const void *)(found.room + at);
        const PROCESSOR_RELATIONSHIP *core = &row->Processor;
        if (!one_group || (core->GroupMask[0].Mask & mine)) {
            if (core->EfficiencyClass > fastest) cores = 0, fastest = core->EfficiencyClass;
            cores += core->EfficiencyClass == fastest;
        }
        at += row->Size;
    }
    return cores;
}

#else
int pn_performance_cores(void) { return 0; } /* pynn/core/config.py reads /sys */
#endif
