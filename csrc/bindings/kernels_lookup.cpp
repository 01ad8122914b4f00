// Rows picked by an index: of any real data, and of an embedding's table.
#include <optional>

#include "bindings/arrays.h"
#include "bindings/dtypes.h"
#include "bindings/kernels.h"
#include "cpu/dispatch.h"
#include "ops/embedding.h"

namespace lamina::bindings {
namespace {

py::array gather_rows(py::handle source_in, py::handle index_in, py::handle scale_in,
                      py::handle out) {
  Call call("gather_rows");
  py::array source = as_array(source_in);
  const std::optional<DType> dtype = dtype_of(source);
  if (!dtype) {
    throw call.type_error(
        "source must hold booleans, integers, or floats of 16, 32 or 64 bits, got " +
        describe(source));
  }
  if (source.ndim() < 1) throw call.value_error("source must have shape (n, ...), got ()");
  if (!source.attr("dtype").attr("isnative").cast<bool>()) {
    source = source.attr("astype")(source.attr("dtype").attr("newbyteorder")("="));
  }
  if (!rows_are_dense(source) || !(source.flags() & kAligned)) {
    source = call_python(source.attr("copy"));  // contiguous and aligned
  }
  Shape shape = shape_of(source);
  const int64_t available = shape[0];
  const auto index = call.integers<int64_t>("index", index_in, 0, available - 1);
  if (index.rank() != 1) {
    throw call.value_error("index must have shape (m,), got " + to_string(index.shape));
  }
  const float scale = call.number("scale", scale_in);
  const int64_t cols = size_of({shape.begin() + 1, shape.end()});
  const int64_t row_bytes = source.strides(0);
  shape[0] = index.size();
  // A negative stride puts row 0 last in memory.
  const auto* data = static_cast<const char*>(source.data());
  if (source.size() > 0) {
    const int64_t span = (available - 1) * row_bytes;
    call.remember("source", span < 0 ? data + span : data,
                  (span < 0 ? -span : span) + cols * source.itemsize());
  }
  const FloatsOut y = call.out("out", out, shape);
  for_rows(index.size(), cols, [&](int64_t i, int64_t n) {
    kernels().gather_rows(y.data + i * cols, cols, {data, *dtype, row_bytes}, index.data + i, n, 0,
                          cols, scale);
  });
  return y.object;
}

py::array embedding_forward(py::handle table_in, py::handle index_in, py::handle out) {
  Call call("embedding_forward");
  const Floats table = call.floats_of_rank("table", table_in, 2, "(vocabulary, dim)");
  const ops::Embedding embedding{table.shape[0], table.shape[1]};
  const auto index = call.integers<int32_t>("index", index_in, 0, embedding.vocabulary - 1);
  Shape shape = index.shape;
  shape.push_back(embedding.dim);
  const FloatsOut y = call.out("out", out, shape);
  const int64_t rows = index.size();
  without_gil([&] {
    for_tiles(embedding.forward_tiles(rows), 0, [&](int64_t tile, float*) {
      embedding.forward(kernels(), y.data, table.data, index.data, rows, tile);
    });
  });
  return y.object;
}

py::array embedding_backward(py::handle dy_in, py::handle index_in, py::handle vocabulary,
                             py::handle out) {
  Call call("embedding_backward");
  const Floats dy = call.floats_from_rank("dy", dy_in, 1, "(*index.shape, dim)");
  const ops::Embedding embedding{
      call.integer("vocabulary", vocabulary, 0, std::numeric_limits<int32_t>::max()), dy.cols()};
  const auto index = call.integers<int32_t>("index", index_in, 0, embedding.vocabulary - 1);
  Shape expected = index.shape;
  expected.push_back(embedding.dim);
  call.check_shape("dy", dy.shape, expected);
  const FloatsOut dtable = call.out("out", out, {embedding.vocabulary, embedding.dim});
  const int64_t rows = index.size();
  without_gil([&] {
    for_tiles(embedding.backward_tiles(), 0, [&](int64_t tile, float*) {
      embedding.backward(kernels(), dtable.data, dy.data, index.data, rows, tile);
    });
  });
  return dtable.object;
}

}  // namespace

void bind_lookup_kernels(py::module_& m) {
  m.def("gather_rows", &gather_rows);
  m.def("embedding_forward", &embedding_forward);
  m.def("embedding_backward", &embedding_backward);
}

}  // namespace lamina::bindings
