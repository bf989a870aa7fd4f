/* Large pages for large memory: rows a page apart, as matrices have them, then do not miss the TLB at every step. */
#ifndef PN_HUGE_H
#define PN_HUGE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

enum { PN_HUGE_PAGE = 1 << 21, PN_HUGE_FROM = 1 << 22 };

/* Asks for large pages inside [p, p + bytes), if that is large; only the whole ones, so no more memory is taken. */
static inline void pn_huge(void *p, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const uintptr_t first = ((uintptr_t)p + PN_HUGE_PAGE - 1) & ~(uintptr_t)(PN_HUGE_PAGE - 1);
    const uintptr_t end = ((uintptr_t)p + bytes) & ~(uintptr_t)(PN_HUGE_PAGE - 1);
    if (bytes >= PN_HUGE_FROM && first < end) (void)madvise((void *)first, end - first, MADV_HUGEPAGE);
#else
    (void)p;
    (void)bytes;
#endif
}

#endif
