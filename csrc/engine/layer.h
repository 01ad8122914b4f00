// What a layer is to the engine: a shape function, parameters, and the steps that it adds to a
// program. A layer holds its configuration and nothing that changes: its parameters live in the
// network's flat buffers, its activations in the program's arena.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "engine/program.h"
#include "engine/shape.h"
#include "ops/gemm.h"
#include "ops/pieces.h"

namespace lamina::engine {

struct ParamSpec {
  std::string name;
  Shape shape;
  bool trainable = true;  // false for moving statistics
};

struct ActivationSpec;

// One layer's place in one program. The network fills in the first group; forward() sets y (and
// what it needs of `saved`), backward() sets dx if needs_dx.
struct Place {
  Shape input, output;
  std::vector<int64_t> params;  // offset of each parameter in the flat buffers
  uint32_t index = 0;           // among the network's layers: its stream of random numbers
  bool frozen = false;          // no gradients for its parameters; batch norm infers
  bool needs_dx = false;
  bool skip_activation = false;  // another applies the last activation: the loss, both ways, or the
                                 // next layer its gradient
  const ActivationSpec* before = nullptr;  // the activation that made x, null if none or unknown
  bool x_is_input = false;   // x is the program's: the step before this layer's first gathers it
  bool x_is_data = false;    // x has the zeros of the data: nothing before it fills them in
  bool only_reads = false;   // set by forward(): no step of the layer writes x, ever, and what they
                             // read of it goes through arithmetic
  bool took_before = false;  // set by backward(): dx is the gradient with respect to what is before
  int x = kNoBuffer, y = kNoBuffer, dy = kNoBuffer, dx = kNoBuffer;
  int live = kNoBuffer;  // where x is not zero, if the layer leaves zeros out
  // Set by forward(): from two to so many workers share out the columns of x, not its rows.
  int column_workers = 0;
  std::vector<int> saved;

  int64_t input_size() const { return element_count(input); }  // of one row
  int64_t output_size() const { return element_count(output); }
};

// What may stand after a layer's arithmetic: an elementwise function, or one along the last axis.
struct ActivationSpec {
  enum class Kind { elementwise, softmax, log_softmax } kind = Kind::elementwise;
  Activation function = Activation::linear;
  float alpha = 0.0f;

  static ActivationSpec parse(const std::string& name, float alpha);
  bool is(Activation f) const { return kind == Kind::elementwise && function == f; }
  // These need their input for the gradient, all others their output.
  bool keeps_input() const { return is(Activation::gelu) || is(Activation::gelu_tanh); }
  // Can a product's epilogue apply it, so that its input is never stored?
  bool fits_epilogue() const { return kind == Kind::elementwise && !keeps_input(); }
};

class Layer {
 public:
  Layer(std::string type, std::string name) : type_(std::move(type)), name_(std::move(name)) {}
  virtual ~Layer() = default;

  const std::string& type() const { return type_; }
  const std::string& name() const { return name_; }

  // Throws std::invalid_argument where the input does not fit.
  virtual Shape output_shape(const Shape& input) const = 0;
  virtual std::vector<ParamSpec> params(const Shape&) const { return {}; }

  virtual void forward(Program& program, Place& place) const = 0;
  // place.dy holds the gradient of the output and may be overwritten. Gradients of parameters go
  // to the flat buffer, at the parameters' own offsets, and are overwritten.
  virtual void backward(Program& program, Place& place) const = 0;

  // Is 0 passed on as 0, at the same place of the same row?
  virtual bool keeps_zeros() const { return false; }

  // The last activation of the layer, which a loss may take over; null if there is none.
  virtual const ActivationSpec* last_activation() const { return nullptr; }

 protected:
  // "Dense 'dense_1' expects inputs of shape <expected>, got <got><hint>"
  [[noreturn]] void reject(const std::string& expected, const Shape& got,
                           const std::string& hint = "") const {
    throw std::invalid_argument(type_ + " '" + name_ + "' expects inputs of shape " + expected +
                                ", got " + with_batch(got) + hint);
  }

 private:
  std::string type_, name_;
};

// --- steps that layers share (steps.cpp) -------------------------------------------------------

// Adds a step that calls body(run, first, n) for pieces of the batch's row_size * rows elements.
// What cost and align are, see RowStep.
void add_elementwise(Program& program, std::string what, std::vector<int> uses, int64_t row_size,
                     std::function<void(const Run&, int64_t first, int64_t n)> body,
                     int64_t cost = 1, int64_t align = 1);
// Adds a step that calls body(run, first, rows) for pieces of the batch's rows, each of which is
// cut into `per_row` rows of `cols` elements (the last axis).
void add_rowwise(Program& program, std::string what, std::vector<int> uses, int64_t per_row,
                 int64_t cols, std::function<void(const Run&, int64_t first, int64_t n)> body);

// y = activation(z) for a tensor of the output's shape; returns y's buffer, which is z's where
// that is possible. What backward needs is appended to place.saved.
int add_activation_forward(Program& program, Place& place, const ActivationSpec& spec, int z);
// Turns place.dy into the gradient with respect to z, in place.
void add_activation_backward(Program& program, Place& place, const ActivationSpec& spec);
// dbias = sum of dy over all rows of `cols` elements, to the flat gradients at `offset`.
void add_bias_gradient(Program& program, std::string what, int dy, int64_t per_row, int64_t cols,
                       int64_t offset);
// The product of the buffers a and b, to the flat gradients at `offset`, for batches where it is
// better cut along K; `most` is that of a full batch. Adds nothing where no batch is such.
void add_long_product(Program& program, const std::string& what, int a, int b, int64_t offset,
                      const ops::Gemm& most, std::function<ops::Gemm(const Run&)> product);

}  // namespace lamina::engine
