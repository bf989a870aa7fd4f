/* Codes of the activations that other kernels fuse; kernels/activation.h applies them. */
#ifndef PN_ACT_H
#define PN_ACT_H

enum {
    PN_ACT_NONE,
    PN_ACT_RELU,
    PN_ACT_LEAKY_RELU, /* parameter: the slope, >= 0 */
    PN_ACT_TANH,
    PN_ACT_SIGMOID,
    PN_ACT_ELU, /* parameter: alpha, >= 0 */
    PN_ACT_SELU,
};

#endif
