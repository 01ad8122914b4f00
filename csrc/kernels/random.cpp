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

// Ten rounds of several sets of eight blocks in the even lanes, under the same keys; the key grows
// by the golden ratio and by sqrt(3) - 1 between two of them. A product's low half stays where it
// is and its high half is one shift away, so a round is two products, two shifts and the exclusive
// ors.
template <int sets>
LAMINA_INLINE void rounds(Blocks* c, const i32x16 (&key)[2]) {
  const i32x16 multiplier_0 = splat_word(0xD2511F53u), multiplier_1 = splat_word(0xCD9E8D57u);
  const i32x16 weyl_0 = splat_word(0x9E3779B9u), weyl_1 = splat_word(0xBB67AE85u);
  i32x16 key_0 = key[0], key_1 = key[1];
  LAMINA_UNROLL
  for (int round = 0; round < 10; ++round) {
    LAMINA_UNROLL
    for (int s = 0; s < sets; ++s) {
      const Blocks old = c[s];
      const i32x16 product_0 = mul_even(old.word[0], multiplier_0);
      const i32x16 product_1 = mul_even(old.word[2], multiplier_1);
      const i32x16 high_0 = odd_to_even(product_0), high_1 = odd_to_even(product_1);
      c[s] = {{high_1 ^ old.word[1] ^ key_0, product_1, high_0 ^ old.word[3] ^ key_1, product_0}};
    }
    key_0 = key_0 + weyl_0;
    key_1 = key_1 + weyl_1;
  }
}

// b[g] = the words of the elements first + 64 g .. first + 64 (g + 1): word w holds the sixteen
// from 16 w on. The first block is a multiple of 16: adding a lane number never carries.
template <int groups>
LAMINA_INLINE void stream_words(Blocks* b, RandomStream stream, int64_t first) {
  Blocks half[2 * groups];
  LAMINA_UNROLL
  for (int g = 0; g < groups; ++g) {
    const uint64_t block = static_cast<uint64_t>(first + g * kGroup) / kGroup * kLanes;
    const i32x16 count = splat_word(block) + lane_numbers();
    half[2 * g] = {
        {count, splat_word(block >> 32), splat_word(stream.step), splat_word(stream.layer)}};
    half[2 * g + 1] = half[2 * g];
    half[2 * g + 1].word[0] = odd_to_even(count);
  }
  rounds<2 * groups>(half, {splat_word(stream.seed), splat_word(stream.seed >> 32)});
  LAMINA_UNROLL
  for (int g = 0; g < groups; ++g) {
    LAMINA_UNROLL
    for (int w = 0; w < 4; ++w) {
      b[g].word[w] = interleave(half[2 * g].word[w], half[2 * g + 1].word[w]);
    }
  }
}

// Calls body(i, n, words of the elements i .. i + n) for each vector of [0, count). The rounds of
// one group wait for each other: two side by side take a quarter less where their state fits the
// registers.
template <class Body>
LAMINA_INLINE void for_each_random_vector(RandomStream stream, int64_t first, int64_t count,
                                          Body&& body) {
  constexpr int64_t size = random_groups * kGroup;
  Blocks b[random_groups];
  int64_t i = 0;
  for (; i + size <= count; i += size) {
    stream_words<random_groups>(b, stream, first + i);
    LAMINA_UNROLL
    for (int v = 0; v < 4 * random_groups; ++v) {
      body(i + kLanes * v, kLanes, b[v / 4].word[v % 4]);
    }
  }
  if (i == count) return;
  stream_words<random_groups>(b, stream, first + i);
  LAMINA_UNROLL
  for (int v = 0; v < 4 * random_groups; ++v) {
    const int64_t at = i + kLanes * v, left = count - at;
    if (left > 0) body(at, left < kLanes ? left : kLanes, b[v / 4].word[v % 4]);
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
    Blocks b = {{load(words[0]), load(words[1]), load(words[2]), load(words[3])}};
    const i32x16 keys_of[2] = {load(key[0]), load(key[1])};
    Blocks odd;
    for (int w = 0; w < 4; ++w) odd.word[w] = odd_to_even(b.word[w]);
    rounds<1>(&b, keys_of);
    rounds<1>(&odd, {odd_to_even(keys_of[0]), odd_to_even(keys_of[1])});
    for (int w = 0; w < 4; ++w) b.word[w] = interleave(b.word[w], odd.word[w]);
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
