/* Codes of the activations that other kernels fuse; kernels/activation.h applies them. */
#ifndef PN_ACT_H
#define PN_ACT_H

#include "elementwise.def"

#define PN_CODE_ALONE(name)
#define PN_CODE_FUSED(name) PN_ACT_##name,
#define PN_CODE(A, name, fuses, ...) PN_CODE_##fuses(name)
#define PN_NO_CODE(A, name, ...)
enum { PN_ACT_NONE, PN_ELEMENTWISE(PN_CODE, PN_NO_CODE, ) PN_ACT_COUNT };
#undef PN_CODE
#undef PN_NO_CODE

#endif
