// Elman network: h' = f(x + W h + b), with f tanh or relu. Saved: h', before any zoneout.
#include "kernel.h"

namespace holdfast::HOLDFAST_ISA {
namespace {

struct Tanh {
  static constexpr const char* name = "rnn_tanh";
  static HOLDFAST_INLINE vec value(vec x) { return hyperbolic_tangent(x); }
  static HOLDFAST_INLINE vec gradient(vec dy, vec y) { return dy * (1.0f - y * y); }
};

struct Relu {
  static constexpr const char* name = "rnn_relu";
  static HOLDFAST_INLINE vec value(vec x) { return at_least(x, 0.0f); }
  static HOLDFAST_INLINE vec gradient(vec dy, vec y) { return y <= splat(0.0f) ? vec{} : dy; }
};

template <class Function>
struct Rnn : Stateless {
  static constexpr const char* name = Function::name;
  static constexpr int gates = 1, units = 2, saved = 1;

  static HOLDFAST_INLINE StepResult step(const vec* recurrent, const Lane& lane) {
    const vec h = Function::value(lane.projected(0) + recurrent[0]);
    lane.save(0, h);
    return {h, vec{}};
  }

  static HOLDFAST_INLINE Pair gradient(const Pair& d, const BackLane& lane) {
    lane.emit(0, Function::gradient(d.gate + lane.outside(0), lane.saved(0)));
    return {vec{}, vec{}};
  }
};

}  // namespace

extern const Kernel *const rnn_tanh, *const rnn_relu;
const Kernel* const rnn_tanh = kernels_of<Rnn<Tanh>>;
const Kernel* const rnn_relu = kernels_of<Rnn<Relu>>;

}  // namespace holdfast::HOLDFAST_ISA
