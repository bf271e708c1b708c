// Elman's network: h' = f(x + W h + b), f tanh or relu. Its gradient needs nothing but the output.
#include "gates.h"
#include "sequence.h"

namespace holdfast::HOLDFAST_ISA {
namespace {

struct Tanh {
  static HOLDFAST_INLINE vec value(vec x) { return hyperbolic_tangent(x); }
  static HOLDFAST_INLINE vec gradient(vec dy, vec y) { return dy * (1.0f - y * y); }
};

struct Relu {
  static HOLDFAST_INLINE vec value(vec x) { return at_least(x, 0.0f); }
  static HOLDFAST_INLINE vec gradient(vec dy, vec y) { return y <= splat(0.0f) ? vec{} : dy; }
};

template <class Function>
struct Rnn {
  static constexpr int gates = 1, units = 2, saved = 0;
  static constexpr bool cell_state = false;

  static HOLDFAST_INLINE vec step(const vec* recurrent, const Lane& lane) {
    return Function::value(lane.projected(0) + recurrent[0]);
  }

  static HOLDFAST_INLINE vec gradient(vec dh, const BackLane& lane) {
    lane.emit(0, Function::gradient(dh, load(lane.y, lane.n)));
    return vec{};
  }
};

}  // namespace

extern const Kernel rnn_tanh, rnn_relu;
const Kernel rnn_tanh = kernel_of<Rnn<Tanh>>;
const Kernel rnn_relu = kernel_of<Rnn<Relu>>;

}  // namespace holdfast::HOLDFAST_ISA
