// The binding: the only file that includes Python's headers. Arrays come as addresses (0: absent) in the
// order of the fields that receive them. The Python caller has checked them.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>

#include "arena.h"
#include "recurrent.h"
#include "stream.h"

namespace nb = nanobind;
using Addresses = std::vector<uintptr_t>;

namespace {

// Assigns one address after the other to fields.
class Reader {
 public:
  explicit Reader(const Addresses& addresses) : addresses(addresses) {}

  template <class... Float>
  void into(Float*&... fields) {
    ((fields = reinterpret_cast<Float*>(addresses.at(next++))), ...);
  }

 private:
  const Addresses& addresses;
  size_t next = 0;
};

struct Call {
  holdfast::Sequence sequence;
  Reader reader;
};

// sizes: T, B, I, H, P, reverse; zoneout: threshold, key, kept, other of h and of c.
Call call(const std::vector<int64_t>& sizes, const std::vector<double>& zoneout, const Addresses& arrays) {
  holdfast::Sequence s{};
  s.steps = sizes.at(0), s.batch = sizes.at(1), s.inputs = sizes.at(2), s.hidden = sizes.at(3);
  s.width = sizes.at(4), s.reverse = sizes.at(5) != 0;
  for (size_t i = 0; i < zoneout.size() / 4; ++i)
    s.zoneout[i] = {uint32_t(zoneout[4 * i]), uint32_t(zoneout[4 * i + 1]), float(zoneout[4 * i + 2]),
                    float(zoneout[4 * i + 3])};
  Reader reader(arrays);
  reader.into(s.lengths, s.x, s.h0, s.c0, s.weight_ih, s.weight_hh, s.bias_ih, s.bias_hh, s.weight_hr,
              s.weight_ch, s.norm_ih, s.norm_hh, s.norm_ch, s.norm_ch_bias, s.mask);
  return {s, reader};
}

// count, deterministic, available: holdfast::Threads.
using Threads = std::tuple<int, bool, int>;

holdfast::Threads read(const Threads& threads) {
  return {std::get<0>(threads), std::get<1>(threads), std::get<2>(threads)};
}

void forward(const std::string& cell, const Threads& threads, const std::vector<int64_t>& sizes,
             const std::vector<double>& zoneout, const Addresses& arrays) {
  Call c = call(sizes, zoneout, arrays);
  holdfast::Outputs out{};
  c.reader.into(out.y, out.h, out.c, out.saved, out.normed);
  holdfast::run_forward(cell, c.sequence, out, read(threads));
}

void backward(const std::string& cell, const Threads& threads, const std::vector<int64_t>& sizes,
              const std::vector<double>& zoneout, const Addresses& arrays) {
  Call c = call(sizes, zoneout, arrays);
  holdfast::Adjoint g{};
  c.reader.into(g.y, g.saved, g.normed, g.dy, g.dh, g.dc, g.dsaved, g.dprojected, g.drecurrent, g.dhidden,
                g.dh0, g.dc0, g.dvectors);
  holdfast::run_backward(cell, c.sequence, g, read(threads));
}

using In = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Layers = std::vector<std::tuple<std::vector<int64_t>, std::vector<double>, Addresses>>;

void make_stream(holdfast::Stream* self, const std::string& cell, const Layers& layers, int64_t batch) {
  std::vector<holdfast::Sequence> sequences;
  for (const auto& [sizes, zoneout, arrays] : layers)
    sequences.push_back(call(sizes, zoneout, arrays).sequence);
  new (self) holdfast::Stream(cell, sequences, batch);
}

void step(holdfast::Stream& stream, const In& x, const Out& y, int threads) {
  if (int64_t(x.size()) != stream.batch() * stream.inputs() ||
      int64_t(y.size()) != stream.batch() * stream.outputs())
    throw nb::value_error("the sizes do not fit the stream's");
  const float* from = x.data();
  float* to = y.data();
  nb::gil_scoped_release release;
  stream.step(from, to, threads);
}

void step_at(holdfast::Stream& stream, uintptr_t x, uintptr_t y, int threads) {
  stream.step(reinterpret_cast<const float*>(x), reinterpret_cast<float*>(y), threads);
}

void copy_state(holdfast::Stream& stream, int64_t layer, bool cell, bool set, uintptr_t array) {
  std::vector<float>& state = cell ? stream.c(layer) : stream.h(layer);
  float* other = reinterpret_cast<float*>(array);
  set ? std::copy_n(other, state.size(), state.data()) : std::copy_n(state.data(), state.size(), other);
}

}  // namespace

NB_MODULE(_native, m) {
  m.def("isas", &holdfast::isas);
  m.def("isa", [] { return std::string(holdfast::isa().name); });
  m.def("select", &holdfast::select_isa);
  m.def("peak", &holdfast::peak, nb::call_guard<nb::gil_scoped_release>());
  m.def("poison", &holdfast::poison);
  m.def("eager", &holdfast::eager);
  nb::class_<holdfast::Stream>(m, "Stream")
      .def("__init__", &make_stream)
      .def("resize", &holdfast::Stream::resize)
      .def("step", &step, nb::arg().noconvert(), nb::arg().noconvert(), nb::arg())
      .def("step_at", &step_at, nb::call_guard<nb::gil_scoped_release>())
      .def("copy_state", &copy_state);
  m.def("forward", &forward, nb::call_guard<nb::gil_scoped_release>());
  m.def("backward", &backward, nb::call_guard<nb::gil_scoped_release>());
}
