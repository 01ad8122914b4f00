// Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011) and the dropout made of it. Every number is a function of (seed, layer, step, element):
// there is no state, and the mask of a forward pass is made again for the backward one.
#include "kernels/declarations.h"
#include "kernels/lanes.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

// Word w of sixteen blocks.
struct Blocks {
  i32x16 word[4];
};

constexpr int64_t kGroup = 4 * kLanes;  // elements made by one call of philox

LAMINA_INLINE i32x16 splat_word(uint64_t x) {
  return splat(static_cast<int32_t>(static_cast<uint32_t>(x)));
}

// Ten rounds; the key grows by the golden ratio and by sqrt(3) - 1 between two of them. Only the
// even lanes count: a product's low half stays where it is and its high half is one shift away, so
// a round of eight blocks is two products, two shifts and the exclusive ors.
LAMINA_INLINE Blocks rounds(Blocks c, i32x16 key_0, i32x16 key_1) {
  const i32x16 multiplier_0 = splat_word(0xD2511F53u), multiplier_1 = splat_word(0xCD9E8D57u);
  const i32x16 weyl_0 = splat_word(0x9E3779B9u), weyl_1 = splat_word(0xBB67AE85u);
  LAMINA_UNROLL
  for (int round = 0; round < 10; ++round) {
    const i32x16 product_0 = mul_even(c.word[0], multiplier_0);
    const i32x16 product_1 = mul_even(c.word[2], multiplier_1);
    const i32x16 high_0 = odd_to_even(product_0), high_1 = odd_to_even(product_1);
    c = {{high_1 ^ c.word[1] ^ key_0, product_1, high_0 ^ c.word[3] ^ key_1, product_0}};
    key_0 = key_0 + weyl_0;
    key_1 = key_1 + weyl_1;
  }
  return c;
}

LAMINA_INLINE Blocks philox(Blocks c, i32x16 key_0, i32x16 key_1) {
  Blocks odd;
  LAMINA_UNROLL
  for (int w = 0; w < 4; ++w) odd.word[w] = odd_to_even(c.word[w]);
  c = rounds(c, key_0, key_1);
  odd = rounds(odd, odd_to_even(key_0), odd_to_even(key_1));
  LAMINA_UNROLL
  for (int w = 0; w < 4; ++w) c.word[w] = interleave(c.word[w], odd.word[w]);
  return c;
}

// The words of elements first .. first + 64: word w holds elements first + 16 w and following.
// The first block is a multiple of 16: adding a lane number never carries.
LAMINA_INLINE Blocks stream_words(RandomStream stream, int64_t first) {
  const uint64_t block = static_cast<uint64_t>(first) / kGroup * kLanes;
  return philox({{splat_word(block) + lane_numbers(), splat_word(block >> 32),
                  splat_word(stream.step), splat_word(stream.layer)}},
                splat_word(stream.seed), splat_word(stream.seed >> 32));
}

// Calls body(i, n, words of the elements i .. i + n) for each vector of [0, count).
template <class Body>
LAMINA_INLINE void for_each_random_vector(RandomStream stream, int64_t first, int64_t count,
                                          Body&& body) {
  int64_t i = 0;
  for (; i + kGroup <= count; i += kGroup) {
    const Blocks b = stream_words(stream, first + i);
    LAMINA_UNROLL
    for (int w = 0; w < 4; ++w) body(i + kLanes * w, kLanes, b.word[w]);
  }
  if (i == count) return;
  const Blocks b = stream_words(stream, first + i);
  LAMINA_UNROLL
  for (int w = 0; w < 4; ++w) {
    const int64_t at = i + kLanes * w, left = count - at;
    if (left > 0) body(at, left < kLanes ? left : kLanes, b.word[w]);
  }
}

}  // namespace

// Sixteen counters at a time are turned into lanes and back: this entry is for checking the
// generator against published values, not for speed.
void philox4x32(uint32_t* out, const uint32_t* counters, const uint32_t* keys, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t count = n - i < kLanes ? n - i : kLanes;
    int32_t words[4][kLanes] = {}, key[2][kLanes] = {};
    for (int64_t j = 0; j < count; ++j) {
      for (int w = 0; w < 4; ++w) words[w][j] = static_cast<int32_t>(counters[4 * (i + j) + w]);
      for (int w = 0; w < 2; ++w) key[w][j] = static_cast<int32_t>(keys[2 * (i + j) + w]);
    }
    const Blocks b = philox({{load(words[0]), load(words[1]), load(words[2]), load(words[3])}},
                            load(key[0]), load(key[1]));
    for (int w = 0; w < 4; ++w) store(words[w], b.word[w]);
    for (int64_t j = 0; j < count; ++j) {
      for (int w = 0; w < 4; ++w) out[4 * (i + j) + w] = static_cast<uint32_t>(words[w][j]);
    }
  }
}

void random_bits(uint32_t* out, RandomStream stream, int64_t first, int64_t n) {
  int32_t* words = reinterpret_cast<int32_t*>(out);
  for_each_random_vector(stream, first, n, [&](int64_t i, int64_t lanes, i32x16 word) {
    if (lanes == kLanes) {
      store(words + i, word);
    } else {
      store(words + i, word, lanes);
    }
  });
}

// An element is kept where its word >= rate * 2^32, that is, with probability 1 - rate. The
// quotient is a product with the rounded 1 / (1 - rate). A rate of 1 keeps one element in 2^32, and
// makes that 0 too.
void dropout(float* y, const float* x, RandomStream stream, int64_t first, int64_t n, float rate) {
  const double threshold = static_cast<double>(rate) * 0x1p32;
  uint32_t least = rate < 1.0f ? static_cast<uint32_t>(threshold) : UINT32_MAX;
  if (rate < 1.0f && static_cast<double>(least) < threshold) ++least;
  const i32x16 limit = splat_word(least);
  const f32x16 scale = splat(rate < 1.0f ? 1.0f / (1.0f - rate) : 0.0f);
  for_each_random_vector(stream, first, n, [&](int64_t i, int64_t lanes, i32x16 word) {
    const f32x16 v = load_upto(x + i, lanes) * scale;
    store_upto(y + i, select(less_unsigned(word, limit), zero(), v), lanes);
  });
}

}  // namespace lamina::LAMINA_ISA
