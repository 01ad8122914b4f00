// The GIL given up and taken back, also by threads that Python does not wait for.
//
// When Python ends, daemon threads are still at work. One that asks for the GIL then never gets it:
// CPython 3.14 lets it hang; earlier versions end it by pthread_exit, which unwinds its stack as an
// exception would, aborts the process where a function is noexcept or a handler does not throw on,
// and runs destructors that release Python's objects without the GIL. So the unwinding is stopped
// where it begins, and the thread hangs, as in 3.14, until the process is gone.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>
#include <utility>
#if defined(__GLIBCXX__)
#include <cxxabi.h>
#endif

namespace lamina::bindings {

// f(), for whatever may ask for the GIL. Asking first whether Python is ending would not do: it may
// begin to while this thread waits.
template <class F>
decltype(auto) hang_if_python_ends(F&& f) {
#if defined(__GLIBCXX__)
  try {
    return f();
  } catch (const abi::__forced_unwind&) {
    while (true) std::this_thread::sleep_for(std::chrono::hours(24));
  }
#else
  return f();
#endif
}

// No GIL in this scope.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    hang_if_python_ends([this] { PyEval_RestoreThread(state_); });
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

// body() with the GIL, whether or not the thread has it already.
template <class F>
decltype(auto) with_gil(F&& body) {
  class Gil {
   public:
    Gil() : state_(hang_if_python_ends([] { return PyGILState_Ensure(); })) {}
    ~Gil() { PyGILState_Release(state_); }
    Gil(const Gil&) = delete;
    Gil& operator=(const Gil&) = delete;

   private:
    PyGILState_STATE state_;
  };
  const Gil gil;
  return hang_if_python_ends(std::forward<F>(body));
}

// f(args...), a function of Python's or NumPy's, which may let other threads run meanwhile.
template <class... Args>
pybind11::object call_python(const pybind11::object& f, Args&&... args) {
  const pybind11::tuple all = pybind11::make_tuple(std::forward<Args>(args)...);
  PyObject* result = hang_if_python_ends([&] { return PyObject_CallObject(f.ptr(), all.ptr()); });
  if (result == nullptr) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::object>(result);
}

}  // namespace lamina::bindings
