// Every kernel of one instruction set, declared once for the file that defines it and for
// table.cpp. What each one computes is said in kernels.h, at the table's member of the same name.
//
// These functions are the only symbols that a kernel file exports, each in its instruction set's
// own namespace. Helpers and templates belong in an anonymous namespace: an inline function that
// two instruction sets share could be linked from the object that this machine cannot run.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

#ifndef LAMINA_ISA
#error "kernels are compiled once per instruction set, with -DLAMINA_ISA=<name>"
#endif

namespace lamina::LAMINA_ISA {

// gemm.cpp
void gemm_block(float* c, int64_t c_row, const float* a, int64_t a_row, int64_t a_col,
                const float* b, int64_t b_row, int64_t m, int64_t n, int64_t k, float alpha,
                float beta, const GemmEpilogue* epilogue, const LiveTerms* live, int64_t ahead);
void gemm_strips(float* c, int64_t c_row, const float* a, int64_t a_row, int64_t a_col,
                 const float* strips, int64_t m, int64_t n, int64_t k, float alpha, float beta,
                 const GemmEpilogue* epilogue);
void gemm_copy_strips(float* strips, const float* b, int64_t b_row, int64_t b_col, int64_t k,
                      int64_t n);
void gemm_pack(float* packed, int64_t width, const float* b, int64_t b_row, int64_t b_col,
               int64_t k, int64_t n);
void gemm_turn(float* c, int64_t c_row, const float* turned, int64_t turned_row, int64_t rows,
               int64_t columns);

// zeros.cpp
void nonzero_bits(uint32_t* by_row, int64_t words, uint32_t* by_column, int32_t* terms,
                  const float* x, int64_t x_row, int64_t rows, int64_t cols, int64_t fetched);
bool all_finite(const float* x, int64_t n);

// split.cpp
void split_left(float* tiles, int64_t block, const float* a, int64_t a_row, int64_t a_col,
                int64_t m, int64_t k, int parts);
void split_right(float* tiles, int64_t block, const float* b, int64_t b_row, int64_t b_col,
                 int64_t k, int64_t n, int parts);
void split_lines(float* lines, const float* low, int64_t low_n, const float* high, int64_t high_n,
                 int64_t row, int64_t rows, int64_t step, int64_t blocks, int parts);
void gather_lines(float* tiles, int64_t block, const float* lines, const int64_t* from,
                  int64_t blocks, int parts);
void split_finish(float* c, int64_t c_row, const float* sums, int64_t columns, int64_t m, int64_t n,
                  float alpha, float beta, const GemmEpilogue* epilogue);

// matrix_unit.cpp
extern const MatrixUnit matrix_unit;

// activation.cpp
void linear_forward(float* y, const float* x, int64_t n, float alpha);
void relu_forward(float* y, const float* x, int64_t n, float alpha);
void leaky_relu_forward(float* y, const float* x, int64_t n, float alpha);
void elu_forward(float* y, const float* x, int64_t n, float alpha);
void sigmoid_forward(float* y, const float* x, int64_t n, float alpha);
void tanh_forward(float* y, const float* x, int64_t n, float alpha);
void gelu_forward(float* y, const float* x, int64_t n, float alpha);
void gelu_tanh_forward(float* y, const float* x, int64_t n, float alpha);
void softplus_forward(float* y, const float* x, int64_t n, float alpha);
void linear_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha);
void relu_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha);
void leaky_relu_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha);
void elu_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha);
void sigmoid_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha);
void tanh_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha);
void gelu_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha);
void gelu_tanh_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha);
void softplus_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha);

// softmax.cpp
void softmax_forward(float* y, const float* x, int64_t rows, int64_t cols);
void softmax_backward(float* dx, const float* dy, const float* y, int64_t rows, int64_t cols);
void log_softmax_forward(float* y, const float* x, int64_t rows, int64_t cols);
void log_softmax_backward(float* dx, const float* dy, const float* y, int64_t rows, int64_t cols);

// softmax_cross_entropy.cpp, loss.cpp
void softmax_cross_entropy_sparse(float* loss, float* dlogits, const float* logits,
                                  const int32_t* labels, const float* weights, int64_t rows,
                                  int64_t cols, float scale);
void softmax_cross_entropy_onehot(float* loss, float* dlogits, const float* logits,
                                  const float* targets, const float* weights, int64_t rows,
                                  int64_t cols, float scale);
void sigmoid_cross_entropy(float* loss, float* dlogits, const float* logits, const float* targets,
                           const float* weights, int64_t rows, int64_t cols, float scale);
void mean_squared_error(float* loss, float* dpredictions, const float* predictions,
                        const float* targets, const float* weights, int64_t rows, int64_t cols,
                        float scale);
void mean_absolute_error(float* loss, float* dpredictions, const float* predictions,
                         const float* targets, const float* weights, int64_t rows, int64_t cols,
                         float scale);
void cross_entropy_sparse(float* loss, float* dprobabilities, const float* probabilities,
                          const int32_t* labels, const float* weights, int64_t rows, int64_t cols,
                          float scale);
void cross_entropy_onehot(float* loss, float* dprobabilities, const float* probabilities,
                          const float* targets, const float* weights, int64_t rows, int64_t cols,
                          float scale);
void binary_cross_entropy(float* loss, float* dprobabilities, const float* probabilities,
                          const float* targets, const float* weights, int64_t rows, int64_t cols,
                          float scale);

// random.cpp
void philox4x32(uint32_t* out, const uint32_t* counters, const uint32_t* keys, int64_t n);
void random_bits(uint32_t* out, RandomStream stream, int64_t first, int64_t n);
void dropout(float* y, const float* x, RandomStream stream, int64_t first, int64_t n, float rate);

// convolution.cpp
void col2im_add(float* image, const float* columns, const Window2d& w, int64_t begin, int64_t end);

// contraction.cpp
void contract(float* c, const float* a, const float* b, int64_t n, const Contraction& t, bool add,
              const GemmEpilogue* epilogue);

// winograd.cpp
void winograd_input(float* planes, int64_t plane, int64_t row, const float* x, int64_t n,
                    const Squares& s);
void winograd_taps(float* planes, int64_t plane, int64_t row, const float* taps, int64_t tap,
                   int64_t taps_row, int64_t rows, int64_t n);
bool winograd_output(float* y, const float* planes, int64_t plane, int64_t row, int64_t n,
                     const Squares& s, const GemmEpilogue& epilogue);
void winograd_output_gradient(float* planes, int64_t plane, int64_t row, const float* dy, int64_t n,
                              const Squares& s);
bool winograd_taps_gradient(float* dtaps, int64_t tap, int64_t taps_row, const float* planes,
                            int64_t plane, int64_t row, int64_t rows, int64_t n);

// pooling.cpp
void max_pool_forward(float* y, int32_t* argmax, const float* image, const Window2d& w);
void max_pool_backward(float* dimage, const float* dy, const int32_t* argmax, const Window2d& w);
void average_pool_forward(float* y, const float* image, const Window2d& w);
void average_pool_backward(float* dimage, const float* dy, const Window2d& w);

// normalization.cpp
void column_deviations(float* sums, float* squares, const float* x, const float* center,
                       int64_t rows, int64_t cols);
void normalize(float* y, const float* x, const float* mean, const float* scale, const float* shift,
               int64_t rows, int64_t cols);
void normalize_sums(float* dscale, float* dshift, const float* dy, const float* x,
                    const float* mean, const float* rstd, int64_t rows, int64_t cols);
void normalize_backward(float* dx, const float* dy, const float* x, const float* mean,
                        const float* a, const float* b, const float* c, int64_t rows, int64_t cols);

// reduce.cpp
void column_sums(float* out, const float* x, int64_t x_row, int64_t rows, int64_t cols);
void row_sums(float* out, const float* x, int64_t rows, int64_t cols);
void row_argmax(int32_t* out, const float* x, int64_t rows, int64_t cols);
void accumulate(float* y, const float* x, int64_t n);
void add_bias(float* y, const float* x, const float* bias, int64_t rows, int64_t cols);
void scale_offset(float* y, const float* x, int64_t n, float scale, float offset);

// gather.cpp
void gather_rows(float* y, int64_t y_row, const RowSource& source, const int64_t* index,
                 int64_t rows, int64_t first, int64_t cols, float scale);
void embedding_forward(float* y, const float* table, const int32_t* index, int64_t rows,
                       int64_t vocabulary, int64_t dim);
void embedding_backward(float* dtable, const float* dy, const int32_t* index, int64_t rows,
                        int64_t dim, int64_t begin, int64_t end);

// optimizer.cpp
bool sgd_step(float* w, const float* dw, int64_t n, float rate);
bool sgd_momentum_step(float* w, float* m, const float* dw, int64_t n, float rate, float momentum,
                       bool nesterov);
bool adam_step(float* w, float* m, float* v, const float* dw, int64_t n, const AdamStep& step);

}  // namespace lamina::LAMINA_ISA
