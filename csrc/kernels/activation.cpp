// Activations over n elements, each forward above its gradient. The mathematics is in activate.h;
// here is only the loop. In place: an element is read before it is written.
#include "kernels/activate.h"
#include "kernels/declarations.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

template <class A>
LAMINA_INLINE void forward(float* y, const float* x, int64_t n, float alpha) {
  const f32x16 a = splat(alpha);
  const bool past = streamed(n, y, x);
  map_vectors(y, n, past,
              [&](int64_t i, int64_t lanes) { return A::forward(load_upto(x + i, lanes), a); });
  if (past) finish_streams();
}

template <class A>
LAMINA_INLINE void backward(float* dx, const float* dy, const float* saved, int64_t n,
                            float alpha) {
  const f32x16 a = splat(alpha);
  const bool past = streamed(n, dx, dy) && dx != saved;
  map_vectors(dx, n, past, [&](int64_t i, int64_t lanes) {
    return A::backward(load_upto(dy + i, lanes), load_upto(saved + i, lanes), a);
  });
  if (past) finish_streams();
}

}  // namespace

void linear_forward(float* y, const float* x, int64_t n, float alpha) {
  forward<Linear>(y, x, n, alpha);
}
void linear_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha) {
  backward<Linear>(dx, dy, saved, n, alpha);
}

void relu_forward(float* y, const float* x, int64_t n, float alpha) {
  forward<Relu>(y, x, n, alpha);
}
void relu_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha) {
  backward<Relu>(dx, dy, saved, n, alpha);
}

void leaky_relu_forward(float* y, const float* x, int64_t n, float alpha) {
  forward<LeakyRelu>(y, x, n, alpha);
}
void leaky_relu_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha) {
  backward<LeakyRelu>(dx, dy, saved, n, alpha);
}

void elu_forward(float* y, const float* x, int64_t n, float alpha) { forward<Elu>(y, x, n, alpha); }
void elu_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha) {
  backward<Elu>(dx, dy, saved, n, alpha);
}

void sigmoid_forward(float* y, const float* x, int64_t n, float alpha) {
  forward<Sigmoid>(y, x, n, alpha);
}
void sigmoid_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha) {
  backward<Sigmoid>(dx, dy, saved, n, alpha);
}

void tanh_forward(float* y, const float* x, int64_t n, float alpha) {
  forward<Tanh>(y, x, n, alpha);
}
void tanh_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha) {
  backward<Tanh>(dx, dy, saved, n, alpha);
}

void gelu_forward(float* y, const float* x, int64_t n, float alpha) {
  forward<Gelu>(y, x, n, alpha);
}
void gelu_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha) {
  backward<Gelu>(dx, dy, saved, n, alpha);
}

void gelu_tanh_forward(float* y, const float* x, int64_t n, float alpha) {
  forward<GeluTanh>(y, x, n, alpha);
}
void gelu_tanh_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha) {
  backward<GeluTanh>(dx, dy, saved, n, alpha);
}

void softplus_forward(float* y, const float* x, int64_t n, float alpha) {
  forward<Softplus>(y, x, n, alpha);
}
void softplus_backward(float* dx, const float* dy, const float* saved, int64_t n, float alpha) {
  backward<Softplus>(dx, dy, saved, n, alpha);
}

}  // namespace lamina::LAMINA_ISA
