/* What the rows of elementwise.def say of each function. */
#include <stddef.h>

#include "act.h"
#include "pn.h"

#define PN_SAYS_ALONE(name) PN_ACT_NONE
#define PN_SAYS_FUSED(name) PN_ACT_##name
#define PN_SAYS_OF_X 1
#define PN_SAYS_OF_Y 0
#define PN_SAYS(A, name, fuses, of, ...) {#name, PN_SAYS_##fuses(name), PN_SAYS_##of},
#define PN_SAYS_VALUE(A, name, ...) {#name, PN_ACT_NONE, -1},
const pn_function pn_functions[] = {PN_ELEMENTWISE(PN_SAYS, PN_SAYS_VALUE, ){NULL, 0, 0}};
