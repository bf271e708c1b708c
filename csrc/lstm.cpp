// Long short-term memory, PyTorch's order of gates:
//   i, f, o = sigmoid(x + W h + b);  g = tanh(x + W h + b);  c' = f c + i g;  h' = o tanh(c')
#include "gates.h"
#include "sequence.h"

namespace holdfast::HOLDFAST_ISA {
namespace {

struct Lstm {
  static constexpr int gates = 4, units = 1, saved = 5;
  static constexpr bool cell_state = true;

  static HOLDFAST_INLINE vec step(const vec* recurrent, const Lane& lane) {
    const vec i = sigmoid(lane.projected(0) + recurrent[0]);
    const vec f = sigmoid(lane.projected(1) + recurrent[1]);
    const vec g = hyperbolic_tangent(lane.projected(2) + recurrent[2]);
    const vec o = sigmoid(lane.projected(3) + recurrent[3]);
    const vec c = f * load(lane.c) + i * g;
    store(lane.c, c);
    lane.save(0, i);
    lane.save(1, f);
    lane.save(2, g);
    lane.save(3, o);
    lane.save(4, c);
    return o * hyperbolic_tangent(c);
  }

  static HOLDFAST_INLINE vec gradient(vec dh, const BackLane& lane) {
    const vec i = lane.saved(0), f = lane.saved(1), g = lane.saved(2), o = lane.saved(3);
    const vec tanh_c = hyperbolic_tangent(lane.saved(4));
    const vec dc = load(lane.dc) + dh * o * (1.0f - tanh_c * tanh_c);
    lane.emit(0, dc * g * i * (1.0f - i));
    lane.emit(1, dc * load(lane.c_previous, lane.n) * f * (1.0f - f));
    lane.emit(2, dc * i * (1.0f - g * g));
    lane.emit(3, dh * tanh_c * o * (1.0f - o));
    store(lane.dc, dc * f);
    return vec{};
  }
};

}  // namespace

extern const Kernel lstm;
const Kernel lstm = kernel_of<Lstm>;

}  // namespace holdfast::HOLDFAST_ISA
