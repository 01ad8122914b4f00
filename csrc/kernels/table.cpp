// This instruction set's table of kernels: data and nothing else, a constant in the binary.
#include "kernels/declarations.h"
#include "kernels/simd.h"

#define LAMINA_STRING(name) #name
#define LAMINA_NAME(name) LAMINA_STRING(name)

namespace lamina::LAMINA_ISA {

constinit const Kernels kernels = {
    .isa = LAMINA_NAME(LAMINA_ISA),

    .gemm_block = gemm_block,
    .strip_columns = kLanes * tile_vectors,
    .gemm_strips = gemm_strips,
    .gemm_copy_strips = gemm_copy_strips,
    .gemm_pack = gemm_pack,
    .gemm_turn = gemm_turn,

    .nonzero_bits = nonzero_bits,
    .all_finite = all_finite,

    .split_left = split_left,
    .split_right = split_right,
    .split_lines = split_lines,
    .gather_lines = gather_lines,
    .split_finish = split_finish,

    .matrix_unit = &matrix_unit,

    // In the order of enum Activation.
    .activation_forward = {linear_forward, relu_forward, leaky_relu_forward, elu_forward,
                           sigmoid_forward, tanh_forward, gelu_forward, gelu_tanh_forward,
                           softplus_forward},
    .activation_backward = {linear_backward, relu_backward, leaky_relu_backward, elu_backward,
                            sigmoid_backward, tanh_backward, gelu_backward, gelu_tanh_backward,
                            softplus_backward},

    .softmax_forward = softmax_forward,
    .softmax_backward = softmax_backward,
    .log_softmax_forward = log_softmax_forward,
    .log_softmax_backward = log_softmax_backward,

    .softmax_cross_entropy_sparse = softmax_cross_entropy_sparse,
    .softmax_cross_entropy_onehot = softmax_cross_entropy_onehot,
    .sigmoid_cross_entropy = sigmoid_cross_entropy,
    .mean_squared_error = mean_squared_error,
    .mean_absolute_error = mean_absolute_error,
    .cross_entropy_sparse = cross_entropy_sparse,
    .cross_entropy_onehot = cross_entropy_onehot,
    .binary_cross_entropy = binary_cross_entropy,

    .philox4x32 = philox4x32,
    .random_bits = random_bits,
    .dropout = dropout,

    .col2im_add = col2im_add,

    .contract = contract,

    .winograd_input = winograd_input,
    .winograd_taps = winograd_taps,
    .winograd_output = winograd_output,
    .winograd_output_gradient = winograd_output_gradient,
    .winograd_taps_gradient = winograd_taps_gradient,

    .max_pool_forward = max_pool_forward,
    .max_pool_backward = max_pool_backward,
    .average_pool_forward = average_pool_forward,
    .average_pool_backward = average_pool_backward,

    .column_deviations = column_deviations,
    .normalize = normalize,
    .normalize_sums = normalize_sums,
    .normalize_backward = normalize_backward,

    .column_sums = column_sums,
    .row_sums = row_sums,
    .row_argmax = row_argmax,
    .accumulate = accumulate,
    .add_bias = add_bias,
    .scale_offset = scale_offset,

    .gather_rows = gather_rows,
    .embedding_forward = embedding_forward,
    .embedding_backward = embedding_backward,

    .sgd_step = sgd_step,
    .sgd_momentum_step = sgd_momentum_step,
    .adam_step = adam_step,
};

}  // namespace lamina::LAMINA_ISA
