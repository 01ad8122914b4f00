// Runs every kernel of one instruction set on fixed pseudo-random data and prints, a line each, the
// kernel's name and a hash of the bits it wrote. Built for another architecture and run under an
// emulator, its output must equal that of a native build. Data and hash are made here, without the
// C library's random numbers or anything else that differs between systems.
//
// The caller flushes denormals, as a program with PyTorch may; the kernels run in the state that
// they have in the product. All run thrice: on ordinary numbers, on some whose products are about
// the smallest normal number, and on denormals.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "cpu/float_state.h"
#include "kernels/kernels.h"

using namespace lamina;  // NOLINT

namespace {

const Kernels& k = LAMINA_ISA::kernels;

uint64_t state = 1;
uint32_t next() {  // Knuth's MMIX generator
  state = state * 6364136223846793005u + 1442695040888963407u;
  return static_cast<uint32_t>(state >> 33);
}

using Floats = std::vector<float>;
using Ints = std::vector<int32_t>;

float size = 1.0f;  // of all numbers but probabilities

Floats floats(int64_t n, float scale = 4.0f) {
  Floats v(static_cast<size_t>(n));
  for (float& x : v) x = size * (scale * (static_cast<float>(next() % 65536) / 32768.0f - 1.0f));
  return v;
}
Floats probabilities(int64_t n) {
  Floats v(static_cast<size_t>(n));
  for (float& x : v) x = static_cast<float>(next() % 1000) / 1000.0f;
  return v;
}
Ints below(int64_t n, uint32_t limit) {
  Ints v(static_cast<size_t>(n));
  for (int32_t& x : v) x = static_cast<int32_t>(next() % limit);
  return v;
}

// FNV-1a over the words; all NaNs count as one, as their sign differs between processors.
template <class T>
void print(const char* name, const std::vector<T>& values) {
  uint64_t hash = 14695981039346656037u;
  for (const T& value : values) {
    uint32_t word;
    std::memcpy(&word, &value, sizeof word);
    if (sizeof(T) == 4 && (word & 0x7fffffffu) > 0x7f800000u) word = 0x7fc00000u;
    hash = (hash ^ word) * 1099511628211u;
  }
  std::printf("%s %016llx\n", name, static_cast<unsigned long long>(hash));
}

void live_product(Floats a, const Floats& b, int64_t m, int64_t n, int64_t depth) {
  const int64_t words = (depth + kLiveBits - 1) / kLiveBits;
  for (int64_t i = 0; i < m * depth; ++i) {
    const bool sampled = m > 6 && i / depth < 4;  // the first rows have no zeros: nor then the rest
    if (!sampled && next() % 4 != 0) a[i] = 0.0f;
  }
  Ints by_row(static_cast<size_t>(m * words)), by_column(static_cast<size_t>(depth)), terms(2);
  for (int64_t i = 0; i < m; i += kLiveBits) {
    k.nonzero_bits(reinterpret_cast<uint32_t*>(by_row.data() + i * words), words,
                   reinterpret_cast<uint32_t*>(by_column.data()), terms.data(),
                   a.data() + i * depth, depth, std::min(kLiveBits, m - i), depth, depth);
    print("nonzero_bits", by_column);
    print("nonzero_bits", terms);
  }
  Ints always(static_cast<size_t>(words));
  always[0] = 0x40001000;
  const LiveTerms live{reinterpret_cast<const uint32_t*>(by_row.data()), words, 1,
                       reinterpret_cast<const uint32_t*>(always.data())};
  Floats c = floats(m * n);
  k.gemm_block(c.data(), n, a.data(), depth, 1, b.data(), n, m, n, depth, 1.0f, 1.0f, nullptr,
               &live, 0);
  print("gemm_block, live", c);
  print("all_finite", Ints{k.all_finite(c.data(), m * n), k.all_finite(b.data(), n)});
}

void products() {
  for (const int64_t m : {1, 5, 6, 13}) {
    for (const int64_t n : {1, 16, 17, 65, 130}) {
      const int64_t depth = 37;
      const Floats a = floats(m * depth), b = floats(depth * n), bias = floats(n);
      for (int f = 0; f < kActivations; ++f) {
        Floats c = floats(m * n);
        const GemmEpilogue e{bias.data(), static_cast<Activation>(f), 0.3f};
        k.gemm_block(c.data(), n, a.data(), depth, 1, b.data(), n, m, n, depth, 0.7f,
                     f % 2 ? 0.0f : 1.5f, &e, nullptr, depth);
        print("gemm_block", c);
      }
      live_product(a, b, m, n, depth);
      Floats packed(static_cast<size_t>(depth * 136));
      k.gemm_pack(packed.data(), 136, b.data(), 1, depth, depth, n);
      print("gemm_pack", packed);
      Floats turned = floats(m * n);
      k.gemm_turn(turned.data(), n, a.data(), m, m, std::min(n, depth));
      print("gemm_turn", turned);
      Floats strips(static_cast<size_t>(depth * 3 * kStripColumns));
      k.gemm_copy_strips(strips.data(), b.data(), n, 1, depth, n);
      Floats c = floats(m * n);
      k.gemm_strips(c.data(), n, a.data(), depth, 1, strips.data(), m, n, depth, 1.0f, 1.0f,
                    nullptr);
      print("gemm_strips", strips);
      print("gemm_strips", c);
    }
  }
}

void products_of_parts() {
  const int64_t m = 37, n = 50, depth = 3 * kUnitTerms;
  Floats a = floats(m * depth), b = floats(depth * n), bias = floats(n);
  for (Floats* operand : {&a, &b}) {  // 16 bits each so far
    for (float& x : *operand) x *= static_cast<float>(1 + next() % 65536) / 65536.0f;
  }
  for (const bool transposed : {false, true}) {
    const int64_t row = transposed ? 1 : depth, col = transposed ? m : 1;
    const int64_t b_row = transposed ? 1 : n, b_col = transposed ? depth : 1;
    for (const int parts : {1, 2, 3}) {
      const FlushDenormals flush;
      const int64_t block = 3 * parts * kUnitTile;
      Floats left(static_cast<size_t>(3 * block)), right(static_cast<size_t>(4 * block));
      k.split_left(left.data(), block, a.data(), row, col, m, depth - 5, parts);
      k.split_right(right.data(), block, b.data(), b_row, b_col, depth - 5, n, parts);
      print("split_left", left);
      print("split_right", right);
      Floats sums = floats(3 * 4 * kUnitTile), c = floats(m * n);
      for (const bool add : {true, false}) {
        k.matrix_unit->multiply(sums.data(), left.data(), right.data(),
                                {3, 4, 3, block, block, parts, add});
        print("multiply", sums);
      }
      const int64_t line = 3 * parts * kUnitSide;
      Floats lines(static_cast<size_t>(m * line)), tiles(static_cast<size_t>(3 * block));
      k.split_lines(lines.data(), a.data(), 40, b.data(), 29, depth, m, kUnitSide, 3, parts);
      print("split_lines", lines);
      const int64_t from[kUnitSide] = {0, 5 * line, -1, line, 36 * line};  // the others the first
      k.gather_lines(tiles.data(), block, lines.data(), from, 3, parts);
      print("gather_lines", tiles);
      const DefaultFloatState state;
      const GemmEpilogue e{bias.data(), Activation::tanh, 0.0f};
      k.split_finish(c.data(), n, sums.data(), 4, m, n, 0.7f, 1.5f, &e);
      print("split_finish", c);
    }
  }
}

void elementwise(int64_t n) {
  const Floats x = floats(n, 12.0f), d = floats(n);
  Floats y(x.size());
  for (int f = 0; f < kActivations; ++f) {
    k.activation_forward[f](y.data(), x.data(), n, 0.2f);
    print("activation_forward", y);
    k.activation_backward[f](y.data(), d.data(), y.data(), n, 0.2f);
    print("activation_backward", y);
  }
  k.scale_offset(y.data(), x.data(), n, 1.7f, -0.3f);
  print("scale_offset", y);
  k.accumulate(y.data(), d.data(), n);
  print("accumulate", y);
  const RandomStream stream{0x123456789abcdefu, 3, 9};
  k.dropout(y.data(), x.data(), stream, 128, n, 0.3f);
  print("dropout", y);
  std::vector<uint32_t> bits(x.size());
  k.random_bits(bits.data(), stream, 64, n);
  print("random_bits", bits);
  Floats w = x, m = floats(n, 0.1f), v = probabilities(n);
  for (const bool clears : {false, true}) {
    k.adam_step(w.data(), m.data(), v.data(), d.data(), n, {1e-3f, 0.1f, 1e-3f, 1e-7f, clears});
    print("adam_step w", w);
    print("adam_step m", m);
    print("adam_step v", v);
  }
  k.sgd_step(w.data(), d.data(), n, 0.1f);
  print("sgd_step", w);
  for (const bool nesterov : {false, true}) {
    k.sgd_momentum_step(w.data(), m.data(), d.data(), n, 0.1f, 0.9f, nesterov);
    print("sgd_momentum_step", w);
    print("sgd_momentum_step m", m);
  }
}

// Half a unit below the smallest normal number: x86 flushes after rounding, AArch64 before.
void just_below_normal() {
  Floats w(1), m(1), d = {0x1.9p-120f};
  k.sgd_momentum_step(w.data(), m.data(), d.data(), 1, 0.01f, 0.9f, false);
  print("sgd_momentum_step just below", w);
  k.scale_offset(w.data(), d.data(), 1, 0.01f, 0.0f);
  print("scale_offset just below", w);
}

using SparseLoss = void (*)(float*, float*, const float*, const int32_t*, const float*, int64_t,
                            int64_t, float);
using DenseLoss = void (*)(float*, float*, const float*, const float*, const float*, int64_t,
                           int64_t, float);

void rows(int64_t n, int64_t cols) {
  const Floats x = floats(n * cols, 20.0f), p = probabilities(n * cols),
               t = probabilities(n * cols);
  const Floats weights = probabilities(n), d = floats(n * cols);
  const Ints labels = below(n, static_cast<uint32_t>(cols));
  Floats y(x.size()), loss(weights.size()), vector(static_cast<size_t>(cols)), other(vector);
  k.softmax_forward(y.data(), x.data(), n, cols);
  print("softmax_forward", y);
  k.softmax_backward(y.data(), d.data(), y.data(), n, cols);
  print("softmax_backward", y);
  k.log_softmax_forward(y.data(), x.data(), n, cols);
  print("log_softmax_forward", y);
  k.log_softmax_backward(y.data(), d.data(), y.data(), n, cols);
  print("log_softmax_backward", y);
  for (const SparseLoss f : {k.softmax_cross_entropy_sparse, k.cross_entropy_sparse}) {
    const Floats& input = f == k.cross_entropy_sparse ? p : x;
    f(loss.data(), y.data(), input.data(), labels.data(), weights.data(), n, cols, 0.25f);
    print("sparse loss", loss);
    print("sparse gradient", y);
  }
  for (const DenseLoss f :
       {k.softmax_cross_entropy_onehot, k.sigmoid_cross_entropy, k.mean_squared_error,
        k.mean_absolute_error, k.cross_entropy_onehot, k.binary_cross_entropy}) {
    const bool wants_p = f == k.cross_entropy_onehot || f == k.binary_cross_entropy;
    f(loss.data(), y.data(), wants_p ? p.data() : x.data(), t.data(), weights.data(), n, cols,
      0.25f);
    print("dense loss", loss);
    print("dense gradient", y);
  }
  const Floats mean = floats(cols), scale = floats(cols), shift = floats(cols);
  k.column_sums(vector.data(), x.data(), cols, n, cols);
  print("column_sums", vector);
  k.column_deviations(vector.data(), other.data(), x.data(), mean.data(), n, cols);
  print("column_deviations sums", vector);
  print("column_deviations squares", other);
  k.row_sums(loss.data(), x.data(), n, cols);
  print("row_sums", loss);
  Ints largest(weights.size());
  k.row_argmax(largest.data(), x.data(), n, cols);
  print("row_argmax", largest);
  k.add_bias(y.data(), x.data(), mean.data(), n, cols);
  print("add_bias", y);
  k.normalize(y.data(), x.data(), mean.data(), scale.data(), shift.data(), n, cols);
  print("normalize", y);
  k.normalize_sums(vector.data(), other.data(), d.data(), x.data(), mean.data(), scale.data(), n,
                   cols);
  print("normalize_sums scale", vector);
  print("normalize_sums shift", other);
  k.normalize_backward(y.data(), d.data(), x.data(), mean.data(), scale.data(), shift.data(),
                       mean.data(), n, cols);
  print("normalize_backward", y);

  const std::vector<int64_t> index = {n - 1, 0, n / 2};
  Floats picked(3 * static_cast<size_t>(cols));
  const std::vector<double> doubles(x.begin(), x.end());
  const std::vector<uint8_t> bytes(labels.begin(), labels.end());
  k.gather_rows(picked.data(), cols, {x.data(), DType::float32, 4 * cols}, index.data(), 3, 0, cols,
                0.5f);
  print("gather_rows float32", picked);
  k.gather_rows(picked.data(), cols, {doubles.data(), DType::float64, 8 * cols}, index.data(), 3, 0,
                cols, 0.3f);
  print("gather_rows float64", picked);
  std::vector<uint8_t> pixels(x.size());
  for (uint8_t& byte : pixels) byte = static_cast<uint8_t>(next());
  k.gather_rows(picked.data(), cols, {pixels.data(), DType::uint8, cols}, index.data(), 3, 0, cols,
                1.0f / 255.0f);
  print("gather_rows uint8", picked);
  const Ints rows_of = below(9, static_cast<uint32_t>(n));
  Floats embedded(9 * static_cast<size_t>(cols)), dtable(x.size());
  k.embedding_forward(embedded.data(), x.data(), rows_of.data(), 9, n, cols);
  print("embedding_forward", embedded);
  k.embedding_backward(dtable.data(), embedded.data(), rows_of.data(), 9, cols, 0, n);
  print("embedding_backward", dtable);
}

void images(int64_t channels) {
  // 7 x 6, 3 x 2 window, strides 2 x 1, dilation 1 x 2, padded by one row and one column.
  const Window2d w{7, 6, channels, 4, 6, channels, 3, 2, 2, 1, 1, 2, 1, 1};
  const Window2d pool{7, 6, channels, 4, 3, channels, 3, 2, 2, 2, 1, 1, 1, 0};
  const Floats x = floats(7 * 6 * channels);
  const Floats columns = floats(24 * 6 * channels);
  Floats dx(x.size());
  k.col2im_add(dx.data(), columns.data(), w, 0, 24);
  print("col2im_add", dx);
  Floats y(static_cast<size_t>(12 * channels));
  Ints argmax(y.size());
  k.max_pool_forward(y.data(), argmax.data(), x.data(), pool);
  print("max_pool_forward", y);
  print("max_pool_forward argmax", argmax);
  k.max_pool_backward(dx.data(), y.data(), argmax.data(), pool);
  print("max_pool_backward", dx);
  k.average_pool_forward(y.data(), x.data(), pool);
  print("average_pool_forward", y);
  k.average_pool_backward(dx.data(), y.data(), pool);
  print("average_pool_backward", dx);
}

// A 7 x 6 image with 3 x 2 taps, 5 x 5 pixels of 37 filters.
void contraction(int64_t channels) {
  const int64_t n = 37;
  const Floats x = floats(7 * 6 * channels), taps = floats(6 * channels * n), bias = floats(n);
  const Contraction t{.rows = 5,
                      .cols = 5,
                      .c_row = 5 * n,
                      .c_col = n,
                      .a_row = 6 * channels,
                      .a_col = channels,
                      .terms = {3, 2, channels},
                      .a_term = {6 * channels, channels, 1},
                      .b_term = {2 * channels * n, channels * n, n}};
  Floats y = floats(25 * n);
  for (const Activation activation : {Activation::linear, Activation::relu, Activation::tanh}) {
    const GemmEpilogue e{bias.data(), activation, 0.0f};
    k.contract(y.data(), x.data(), taps.data(), n, t, activation != Activation::relu, &e);
    print("contract", y);
  }
}

// Four squares in a row of a 7 x 6 image: the first and the last reach beyond it.
void squares(int64_t channels) {
  const Squares in{7, 6, channels, -1, -1, 4}, out{5, 7, channels, 4, 0, 4};
  const Floats x = floats(7 * 6 * channels), taps = floats(9 * channels * 5);
  const Floats dy = floats(5 * 7 * channels), bias = floats(channels);
  const int64_t plane = 5 * channels + 16;
  Floats planes(static_cast<size_t>(16 * plane)), y(dy.size()), dtaps(taps.size());
  k.winograd_input(planes.data(), plane, channels, x.data(), channels, in);
  print("winograd_input", planes);
  k.winograd_taps(planes.data(), plane, channels, taps.data(), 5 * channels, channels, 5, channels);
  print("winograd_taps", planes);
  for (const Activation activation : {Activation::linear, Activation::relu, Activation::tanh}) {
    const GemmEpilogue e{bias.data(), activation, 0.0f};
    k.winograd_output(y.data(), planes.data(), plane, channels, channels, out, e);
    print("winograd_output", y);
  }
  k.winograd_taps_gradient(dtaps.data(), 5 * channels, channels, planes.data(), plane, channels, 5,
                           channels);
  print("winograd_taps_gradient", dtaps);
  k.winograd_output_gradient(planes.data(), plane, channels, dy.data(), channels, out);
  print("winograd_output_gradient", planes);
}

}  // namespace

int main() {
  const FlushDenormals caller;
  const DefaultFloatState state;
  const std::vector<uint32_t> counters = {0, 0, 0, 0, ~0u, ~0u, ~0u, ~0u}, keys = {0, 0, ~0u, ~0u};
  std::vector<uint32_t> out(8);
  k.philox4x32(out.data(), counters.data(), keys.data(), 2);
  print("philox4x32", out);
  just_below_normal();
  for (const float of : {1.0f, 0x1p-64f, 0x1p-130f}) {
    size = of;
    products();
    products_of_parts();
    for (const int64_t n : {1, 15, 16, 17, 100}) elementwise(n);
    for (const int64_t cols : {1, 10, 16, 33}) rows(7, cols);
    for (const int64_t channels : {1, 3, 16, 20}) {
      images(channels);
      contraction(channels);
      squares(channels);
    }
  }
}
