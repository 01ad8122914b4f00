// The largest error of every elementary function over all 2^32 float32 patterns, in units of the
// last place of the result, against the double-precision functions of the C library. Every
// instruction set gives the same bits, so one is enough.
//
//   g++ -std=c++17 -O3 -ffp-contract=off -fopenmp -mavx2 -mfma -DLAMINA_ISA=avx2 -DLAMINA_SIMD_AVX2
//       -Icsrc tools/ulps.cpp -o ulps
//   ./ulps [part of a name] [take every n-th pattern]
//
// Some minutes a function on two cores. A NaN or an infinity where another result is right, or the
// reverse, is an infinite error, and so is the wrong sign. Below the smallest normal number a unit
// is 2^-149.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernels/activate.h"

namespace {

namespace isa = lamina::LAMINA_ISA;
using isa::f32x16;

// In units of the last place of `right`.
double error_of(float got, double right) {
  if (std::isnan(right)) return std::isnan(got) ? 0.0 : INFINITY;
  if (std::isnan(got) || got * right < 0.0) return INFINITY;
  constexpr double overflow = 0x1.ffffffp127;  // from here on float32 rounds to infinity
  if (std::isinf(got)) return std::fabs(right) >= overflow ? 0.0 : INFINITY;
  if (std::isinf(right)) return INFINITY;
  const int exponent = right == 0.0 ? -126 : std::max(std::ilogb(right), -126);
  return std::fabs(got - right) / std::ldexp(1.0, exponent - 23);
}

struct Worst {
  double error = 0.0;
  float at = 0.0f;
};

template <class Kernel, class Reference>
void measure(const char* name, Kernel&& kernel, Reference&& reference, double from, double to,
             const char* wanted, int64_t step) {
  if (std::strstr(name, wanted) == nullptr) return;
  Worst worst;
#pragma omp parallel
  {
    Worst mine;
#pragma omp for schedule(dynamic, 1)
    for (int64_t high = 0; high < 1 << 16; ++high) {
      for (int64_t low = 0; low < 1 << 16; low += isa::kLanes * step) {
        float x[isa::kLanes], y[isa::kLanes];
        for (int64_t i = 0; i < isa::kLanes; ++i) {
          const auto bits = static_cast<uint32_t>(high << 16 | ((low + i * step) & 0xffff));
          std::memcpy(x + i, &bits, sizeof bits);
        }
        isa::store(y, kernel(isa::load(x)));
        for (int64_t i = 0; i < isa::kLanes; ++i) {
          if (x[i] < from || x[i] > to) continue;
          const double error = error_of(y[i], reference(static_cast<double>(x[i])));
          if (error > mine.error) mine = {error, x[i]};
        }
      }
    }
#pragma omp critical
    if (mine.error > worst.error) worst = mine;
  }
  std::printf("%-26s %8.4f  at %a = %.9g\n", name, worst.error, worst.at, worst.at);
  std::fflush(stdout);
}

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }
double softplus(double x) { return std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }
double gelu(double x) { return x == -INFINITY ? -0.0 : x * 0.5 * std::erfc(-x * std::sqrt(0.5)); }
double gelu_tanh(double x) {
  if (x == -INFINITY) return -0.0;
  return x * sigmoid(std::sqrt(8.0 / M_PI) * (x + 0.044715 * x * x * x));
}

}  // namespace

int main(int arguments, char** argument) {
  const char* wanted = arguments > 1 ? argument[1] : "";
  const int64_t step = arguments > 2 ? std::atoll(argument[2]) : 1;
  const auto run = [&](const char* name, auto kernel, auto reference, double from = -INFINITY,
                       double to = INFINITY) {
    measure(name, kernel, reference, from, to, wanted, step);
  };
  const f32x16 one = isa::splat(1.0f);
  run("exp", [](f32x16 x) { return isa::exp(x); }, [](double x) { return std::exp(x); });
  run(
      "exp_nonpositive", [](f32x16 x) { return isa::exp_nonpositive(x); },
      [](double x) { return std::exp(x); }, -INFINITY, 0.0);
  run("expm1", [](f32x16 x) { return isa::expm1(x); }, [](double x) { return std::expm1(x); });
  run("sigmoid", [](f32x16 x) { return isa::sigmoid(x); }, sigmoid);
  run("tanh", [](f32x16 x) { return isa::tanh(x); }, [](double x) { return std::tanh(x); });
  run("log", [](f32x16 x) { return isa::log(x); }, [](double x) { return std::log(x); });
  run(
      "log1p_to_one", [](f32x16 x) { return isa::log1p_to_one(x); },
      [](double x) { return std::log1p(x); }, 0.0, 1.0);
  run(
      "elu", [=](f32x16 x) { return isa::Elu::forward(x, one); },
      [](double x) { return x > 0 ? x : std::expm1(x); });
  run("softplus", [=](f32x16 x) { return isa::Softplus::forward(x, one); }, softplus);
  run("gelu", [=](f32x16 x) { return isa::Gelu::forward(x, one); }, gelu);
  run("gelu_tanh", [=](f32x16 x) { return isa::GeluTanh::forward(x, one); }, gelu_tanh);
}
