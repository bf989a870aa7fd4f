/* In a build with AddressSanitizer, memory that was allocated for alignment alone is as forbidden as what lies beyond. */
#ifndef PN_POISON_H
#define PN_POISON_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PN_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define PN_ASAN 1
#endif

#ifdef PN_ASAN
#include <sanitizer/asan_interface.h>
#define PN_POISON(from, to) ASAN_POISON_MEMORY_REGION((from), (size_t)((char *)(to) - (char *)(from)))
#else
#define PN_POISON(from, to) ((void)(from), (void)(to))
#endif

#endif
