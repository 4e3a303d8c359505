/* The scalar engine replayed: scalar.py's formulas, forward and backward, over arrays of nodes.
 * flags: -ffp-contract=off, for the bits of scalar.py. */
#include <math.h>
#include <stdint.h>

typedef double real;               /* for the prototypes; no kernel of element type real is defined here */
#include "kernels.h"

int64_t mw_tape_forward(const int32_t *op, const int64_t *first, const int32_t *operand, const double *constant, double *value,
                        int64_t nodes) {
    int64_t bad = -1;
    for (int64_t i = 0; i < nodes; i++) {
        const int32_t *in = operand + first[i];
        const int64_t terms = (first[i + 1] - first[i]) / 2;
        double x = op[i] == MW_TAPE_LEAF ? value[i] : value[in[0]], z = x;
        switch (op[i]) {
        case MW_TAPE_ADD: z = x + value[in[1]]; break;
        case MW_TAPE_MULTIPLY: z = x * value[in[1]]; break;
        case MW_TAPE_DIVIDE: z = x / value[in[1]]; break;
        case MW_TAPE_POWER: z = pow(x, constant[i]); break;
        case MW_TAPE_EXP: z = exp(x); break;
        case MW_TAPE_LOG: z = log(x); break;
        case MW_TAPE_TANH: z = tanh(x); break;
        case MW_TAPE_SIGMOID: z = exp(-fabs(x)), z = (x >= 0 ? 1 : z) / (1 + z); break;
        case MW_TAPE_RELU: z = x < 0 ? 0 : x; break;
        case MW_TAPE_WEIGHTED_SUM:
            z = value[in[2 * terms]];
            for (int64_t t = 0; t < terms; t++) z += value[in[t]] * value[in[terms + t]];
            break;
        }
        value[i] = z;
        if (bad < 0 && !isfinite(z)) bad = i;
    }
    return bad;
}

void mw_tape_backward(const int32_t *op, const int64_t *first, const int32_t *operand, const double *constant, const double *value,
                      double *grad, int64_t nodes) {
    for (int64_t i = 0; i < nodes; i++) grad[i] = i == nodes - 1;
    for (int64_t i = nodes - 1; i >= 0; i--) {
        const int32_t *in = operand + first[i];
        const int64_t terms = (first[i + 1] - first[i]) / 2;
        if (op[i] == MW_TAPE_LEAF) continue;
        const double dz = grad[i], z = value[i], x = value[in[0]];
        double *dx = grad + in[0];
        switch (op[i]) {
        case MW_TAPE_ADD: *dx += dz, grad[in[1]] += dz; break;
        case MW_TAPE_MULTIPLY: *dx += dz * value[in[1]], grad[in[1]] += dz * x; break;
        case MW_TAPE_DIVIDE: *dx += dz / value[in[1]], grad[in[1]] += -dz * z / value[in[1]]; break;
        case MW_TAPE_POWER: *dx += constant[i] == 0 ? 0 : dz * constant[i] * pow(x, constant[i] - 1); break;
        case MW_TAPE_EXP: *dx += dz * z; break;
        case MW_TAPE_LOG: *dx += dz / x; break;
        case MW_TAPE_TANH: *dx += dz * (1 - z * z); break;
        case MW_TAPE_SIGMOID: *dx += dz * z * (1 - z); break;
        case MW_TAPE_RELU: *dx += x <= 0 ? 0 : dz; break;
        case MW_TAPE_WEIGHTED_SUM:
            for (int64_t t = 0; t < terms; t++) grad[in[t]] += dz * value[in[terms + t]];
            for (int64_t t = 0; t < terms; t++) grad[in[terms + t]] += dz * value[in[t]];
            grad[in[2 * terms]] += dz;
            break;
        }
    }
}

void mw_tape_update(const int32_t *weight, double *value, const double *grad, int64_t n, double learning_rate, double l2) {
    for (int64_t i = 0; i < n; i++) {
        double *w = value + weight[i];
        *w -= learning_rate * (grad[weight[i]] + l2 * *w);
    }
}

double mw_weighted_sum(const double *weights, const double *inputs, int64_t n, double bias) {
    for (int64_t i = 0; i < n; i++) bias += weights[i] * inputs[i];
    return bias;
}
