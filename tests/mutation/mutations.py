"""The planted bugs: small edits, each of which some kernel test must catch.

`old` must occur exactly once in `file`; tests/test_mutations.py holds the list to that, so that it
follows the source. `tests` are the files of tests/kernels that are run against the edit.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    file: str  # below csrc
    old: str
    new: str
    why: str
    tests: str  # words: test_<word>.py
    isa: str = ""  # what to run on, "" for the best that the build has


M = Mutation

GEMM = [
    M("kernels/gemm.cpp", "load(c, n) : load(c);", "zero() : load(c);",
      "beta ignored in a partial vector", "gemm"),
    M("kernels/gemm.cpp", "fma(alpha, v, beta * old)", "fma(alpha, v, old)",
      "beta taken for 1", "gemm"),
    M("kernels/gemm.cpp", "if (t.alpha != 1.0f) v = alpha * v;", "",
      "alpha ignored where beta is 0", "gemm"),
    M("kernels/gemm.cpp", "if (t.beta == 0.0f) {", "if (false) {",
      "beta = 0 reads the old C", "gemm"),
    M("kernels/gemm.cpp", "tile<rows, 1, true>(t, i0, j0, columns);",
      "tile<rows, 1, true>(t, i0, j0, columns - 1);", "off by one in a narrow tail", "gemm"),
    M("kernels/gemm.cpp", "if (height < rows) return", "if (height < rows - 1) return",
      "one row too many in a band", "gemm"),
    M("kernels/gemm.cpp", "t.beta == 0.0f && e == nullptr", "t.beta == 0.0f",
      "the plain store forgets the bias", "gemm"),
    M("kernels/gemm.cpp", "width, b + p + j * b_col, b_col);", "width, b + j * b_col, b_col);",
      "packing transposes the first block again and again", "gemm"),
    M("kernels/gemm.cpp", "j < n ? b[p * b_row + j * b_col] : 0.0f",
      "j < n ? b[j * b_row + p * b_col] : 0.0f", "packing forgets to transpose", "gemm images"),
    M("ops/gemm.cpp", "p == 0 ? beta : 1.0f,", "beta,",
      "beta applied again in every block of K", "gemm"),
    M("ops/gemm.cpp", "last && epilogue != nullptr", "epilogue != nullptr",
      "bias and activation after every block of K", "gemm"),
    M("ops/gemm.cpp", "shifted.bias += j0;", "shifted.bias += 0;",
      "every panel gets the first panel's bias", "gemm"),
    M("ops/gemm.cpp", "a + i0 * a_row + p * a_col", "a + i0 * a_row + p * a_row",
      "the next block of K is looked for along the wrong axis", "gemm"),
]  # fmt: skip

ELEMENTWISE = [
    M("kernels/activate.h", "return max(zero(), x); }", "return max(x, zero()); }",
      "relu swallows NaN", "activations"),
    M("kernels/activate.h", "dy * (y * (splat(1.0f) - y))", "dy * (y * (splat(1.0f) + y))",
      "sign in the gradient of sigmoid", "activations"),
    M("kernels/activate.h", "select(y > zero(), dy, dy * (y + alpha))",
      "select(y > zero(), dy, dy * (y + splat(1.0f)))", "elu's gradient takes alpha for 1",
      "activations"),
    M("kernels/activate.h", "dy * fnma(y, y, splat(1.0f))",
      "dy * fnma(y, splat(1.0f), splat(1.0f))",
      "tanh's gradient without the square", "activations"),
    M("kernels/activate.h", "softplus_from(x, exp_nonpositive(minus_abs(x)))",
      "log1p_to_one(exp(x))", "softplus overflows", "activations"),
    M("kernels/simd.h", "if (i > 0) plain(0, i);", "",
      "what precedes the first cache line is not written", "streamed"),
    M("kernels/activate.h", "0.0713548163f", "0.0713558163f", "a digit of gelu's constant",
      "activations"),
    M("kernels/math.h", "splat(4.166649e-2f)", "splat(4.176649e-2f)",
      "a digit of a coefficient of exp", "activations softmax"),
    M("kernels/math.h", "const f32x16 gained = fnma(a, a, square);",
      "const f32x16 gained = zero();", "gelu's tail loses the square's rounding", "activations"),
]  # fmt: skip

OPTIMIZERS = [
    M("kernels/optimizer.cpp", "fnma(r, g, mu * load_upto(m + i, lanes))",
      "fma(r, g, mu * load_upto(m + i, lanes))", "momentum climbs", "optimizers"),
    M("kernels/optimizer.cpp", "nesterov ? fnma(r, g, mu * velocity) : velocity",
      "nesterov ? fnma(r, g, velocity) : velocity", "nesterov forgets momentum", "optimizers"),
    M("kernels/optimizer.cpp", "store_upto(m + i, velocity, lanes);",
      "store_upto(m + i, g, lanes);",
      "velocity not kept", "optimizers"),
    M("kernels/optimizer.cpp", "rate * mean / (square_root(square) + epsilon)",
      "rate * mean / square_root(square + epsilon)", "epsilon inside the root", "optimizers"),
    M("kernels/optimizer.cpp", "mean = fma(fresh_m, g - mean, mean);",
      "mean = fma(fresh_v, g - mean, mean);", "beta_2 where beta_1 belongs", "optimizers"),
    M("bindings/kernels_optimizer.cpp", "std::sqrt(1.0 -", "(1.0 -",
      "bias correction without the root", "optimizers"),
]  # fmt: skip

ROWS = [
    M("kernels/softmax.cpp", "exp_nonpositive(block.at(j) - most)", "exp(block.at(j))",
      "no maximum subtracted in a short row", "softmax"),
    M("kernels/softmax.cpp",
      "exp_nonpositive(load_or(x + j, n, -kInfinity) - most);\n      total = total + e;",
      "exp_nonpositive(load_or(x + j, n, 0.0f) - most);\n      total = total + e;",
      "lanes past the end of the row count", "softmax"),
    M("kernels/softmax.cpp", "load_upto(y + j, n) * (load_upto(dy + j, n) - mean)",
      "load_upto(y + j, n) * (load_upto(dy + j, n) + mean)", "sign in softmax's gradient",
      "softmax"),
    M("kernels/softmax.cpp", "fnma(exp(load_upto(y + j, n)), all, load_upto(dy + j, n))",
      "fnma(load_upto(y + j, n), all, load_upto(dy + j, n))", "log-softmax's gradient without exp",
      "softmax"),
    M("kernels/softmax_cross_entropy.cpp", "const f32x16 probability = splat(mass / exponentials)",
      "const f32x16 probability = splat(1.0f / exponentials)", "targets taken to sum to 1",
      "losses"),
    M("kernels/softmax_cross_entropy.cpp", "const f32x16 probability = mass / total,",
      "const f32x16 probability = splat(1.0f) / total,", "the same in a short row", "losses"),
    M("kernels/softmax_cross_entropy.cpp",
      "store(dx + label, (splat(e) * probability - splat(1.0f)) * g, 1);", "",
      "a long row's label is not subtracted", "losses"),
    M("kernels/narrow.h", "(left - (kLanes - 1)) * cols >= kLanes", "left > 0",
      "reads past the last short row", "softmax"),
    M("kernels/narrow.h", "store(y + i * cols, row, cols);", "store(y + i * cols, row);",
      "writes past the last short row", "softmax"),
    M("kernels/loss.cpp", "const f32x16 g = splat(weight * scale * share);",
      "const f32x16 g = splat(scale * share);", "the gradient forgets the weight", "losses"),
    M("kernels/loss.cpp", "slope = d + d;", "slope = d;", "half of the squared error's gradient",
      "losses"),
    M("kernels/loss.cpp", "is_nan(d) | (d == zero())", "is_nan(d)", "the sign of 0 is taken for 1",
      "losses"),
    M("kernels/loss.cpp", "constexpr float kLeast = 1e-7f;", "constexpr float kLeast = 1e-6f;",
      "another clip", "losses"),
    M("kernels/loss.cpp", "unclipped = unclipped + select(inside(q), target, zero());",
      "unclipped = unclipped + target;", "clipped targets pull on their row", "losses"),
    M("kernels/reduce.cpp", "(v > best) | (is_nan(v)", "(v >= best) | (is_nan(v)",
      "the last largest instead of the first", "reduce"),
    M("kernels/reduce.cpp", "any(any_nan ? is_nan(v) : v == wanted)", "any(v == wanted)",
      "a NaN is not looked for", "reduce"),
    M("kernels/reduce.cpp", "total = total + load(x + i * cols + j, cols - j);",
      "total = total + load(x + i * cols + j, cols - j - 1);", "the last column is not summed",
      "reduce"),
    M("kernels/reduce.cpp", "for (; i < rows; ++i) add_rows<1>(out, x + i * cols, cols);", "",
      "the last rows are not summed",
      "reduce"),
    M("kernels/normalization.cpp", "total = fma(d, d, total);",
      "total = fma(d, load_upto(x + i * cols + j, n), total);",
      "variance from x times a difference", "normalization"),
    M("ops/batch_norm.cpp", "std::sqrt(variance[j] + epsilon)",
      "(std::sqrt(variance[j]) + epsilon)",
      "epsilon outside the root", "normalization"),
    M("ops/batch_norm.cpp", "a[j] * rstd[j] * dgamma[j] * share", "a[j] * dgamma[j] * share",
      "the gradient divides by the deviation once too little", "normalization"),
]  # fmt: skip

RANDOM_AND_LOOKUP = [
    M("kernels/random.cpp", "round < 10;", "round < 9;", "a round too few", "random"),
    M("kernels/random.cpp", "high_1 ^ old.word[1] ^ key_0", "high_1 ^ old.word[3] ^ key_0",
      "two words exchanged", "random"),
    M("kernels/random.cpp", "splat_word(stream.step), splat_word(stream.layer)",
      "splat_word(stream.layer), splat_word(stream.step)", "layer and step exchanged", "random"),
    M("kernels/random.cpp", "splat_word(block >> 32)", "splat_word(0)",
      "the stream repeats after 2^38 elements", "random"),
    M("kernels/random.cpp", "1.0f / (1.0f - rate)", "1.0f / rate", "dropout's scale", "random"),
    M("kernels/random.cpp", "select(less_unsigned(word, limit), zero(), v)",
      "select(less_unsigned(word, limit), v, zero())", "keeps what it should drop", "random"),
    M("bindings/kernels_random.cpp", "y.data + i, x.data + i, stream, i, n, rate",
      "y.data + i, x.data + i, stream, 0, n, rate", "every tile has the first tile's mask",
      "random"),
    M("kernels/gather.cpp", "exponent + 112u", "exponent + 111u", "float16 halved", "lookup"),
    M("kernels/gather.cpp", "load_converted(row + cols - kLanes) * scale",
      "load_converted(row + cols - kLanes)", "the end of a row is not scaled", "lookup"),
    M("kernels/gather.cpp", "if (index[i] < begin || index[i] >= end) continue;",
      "if (index[i] <= begin || index[i] >= end) continue;", "the first row of a range is left out",
      "lookup"),
]  # fmt: skip

IMAGES = [
    M("kernels/convolution.cpp", "return {begin, clamp(last, begin, w.kernel_w)};",
      "return {begin, w.kernel_w};", "taps beyond the right edge are read", "images"),
    M("kernels/convolution.cpp", "(d - 1 - left) / d", "(-left) / d",
      "a dilated tap before the left edge is read", "images"),
    M("ops/window.cpp", "reach - size) / 2}", "reach - size + 1) / 2}",
      "the odd zero before the image instead of after it", "images"),
    M("ops/conv2d.cpp", "i == pieces.begin(tile) ? 0.0f : 1.0f", "0.0f",
      "only the last chunk of a piece counts", "images"),
    M("kernels/pooling.cpp", "!((x <= best) | is_nan(best))", "!((x < best) | is_nan(best))",
      "the last largest pixel instead of the first", "images"),
    M("kernels/pooling.cpp", "!((x <= best) | is_nan(best))", "x > best",
      "the largest pixel swallows NaN", "images"),
    M("kernels/pooling.cpp", "store_upto(to, load_upto(to, n) + select(meant, d, zero()), n);",
      "store_upto(to, select(meant, d, zero()), n);", "overlapping windows overwrite", "images"),
    M("kernels/pooling.cpp", "Box{i < 0 ? 0 : i, bottom,", "Box{i, bottom,",
      "pixels above the image", "images"),
]  # fmt: skip

VECTORS = [
    M("kernels/simd/portable.h", "if (inexact && (word & 1) == 0) {", "if (false) {",
      "an emulated fma that rounds twice", "gemm", "portable"),
    M("kernels/simd/portable.h", "i < half; ++i) a.lane[i] = a.lane[i] + a.lane[i + half];",
      "i < half; ++i) a.lane[i] = a.lane[i] + a.lane[2 * half - 1 - i];",
      "another order of a sum", "isas", "portable"),
    M("kernels/simd/avx2.h", "_mm256_maskstore_ps(p + 8, first_of_eight(n - 8), a.hi);",
      "_mm256_maskstore_ps(p + 8, first_of_eight(n - 9), a.hi);", "a partial store loses a lane",
      "activations gemm", "avx2"),
    M("kernels/simd/avx2.h", "_mm256_maskload_ps(p + 8, first_of_eight(n - 8))};",
      "_mm256_loadu_ps(p + 8)};", "a partial load reads on: lanes past the end count",
      "softmax reduce", "avx2"),
]  # fmt: skip

MUTATIONS = [*GEMM, *ELEMENTWISE, *OPTIMIZERS, *ROWS, *RANDOM_AND_LOOKUP, *IMAGES, *VECTORS]
