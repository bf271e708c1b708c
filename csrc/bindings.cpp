// The only file that knows Python. Arrays come as addresses (0 is null); kernels/native.py vouches for them.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "recurrent.h"

namespace nb = nanobind;
using Address = uintptr_t;

namespace {

template <class T>
T* at(Address address) {
  return reinterpret_cast<T*>(address);
}

void forward(const std::string& cell, int threads, int64_t steps, int64_t batch, int64_t inputs,
             int64_t hidden, bool reverse, Address x, Address h0, Address c0, Address weight_ih,
             Address weight_hh, Address bias_ih, Address bias_hh, Address lengths, Address y, Address h,
             Address c, Address saved) {
  const holdfast::Sequence s{steps,
                             batch,
                             inputs,
                             hidden,
                             reverse,
                             at<const float>(x),
                             at<const float>(h0),
                             at<const float>(c0),
                             at<const float>(weight_ih),
                             at<const float>(weight_hh),
                             at<const float>(bias_ih),
                             at<const float>(bias_hh),
                             at<const int64_t>(lengths)};
  holdfast::run_forward(cell, s, {at<float>(y), at<float>(h), at<float>(c), at<float>(saved)}, threads);
}

void backward(const std::string& cell, int threads, int64_t steps, int64_t batch, int64_t hidden,
              bool reverse, Address h0, Address c0, Address weight_hh, Address lengths, Address y,
              Address saved, Address dy, Address dh, Address dc, Address dprojected, Address dcandidate,
              Address dh0, Address dc0) {
  const holdfast::Sequence s{steps,
                             batch,
                             0,
                             hidden,
                             reverse,
                             nullptr,
                             at<const float>(h0),
                             at<const float>(c0),
                             nullptr,
                             at<const float>(weight_hh),
                             nullptr,
                             nullptr,
                             at<const int64_t>(lengths)};
  const holdfast::Adjoint g{at<const float>(y),    at<const float>(saved), at<const float>(dy),
                            at<const float>(dh),   at<const float>(dc),    at<float>(dprojected),
                            at<float>(dcandidate), at<float>(dh0),         at<float>(dc0)};
  holdfast::run_backward(cell, s, g, threads);
}

}  // namespace

NB_MODULE(_native, m) {
  m.def("isas", &holdfast::isas);
  m.def("isa", [] { return std::string(holdfast::isa().name); });
  m.def("select", &holdfast::select_isa);
  m.def("peak", &holdfast::peak, nb::call_guard<nb::gil_scoped_release>());
  m.def("forward", &forward, nb::call_guard<nb::gil_scoped_release>());
  m.def("backward", &backward, nb::call_guard<nb::gil_scoped_release>());
}
