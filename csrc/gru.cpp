// Gated recurrent unit, PyTorch's order of gates and its reset after the product:
//   r, z = sigmoid(x + W h + b);  n = tanh(x + r (W h + b));  h' = (1 - z) n + z h
#include "gates.h"
#include "sequence.h"

namespace holdfast::HOLDFAST_ISA {
namespace {

struct Gru {
  static constexpr int gates = 3, units = 1, saved = 4;
  static constexpr bool cell_state = false;

  static HOLDFAST_INLINE vec step(const vec* recurrent, const Lane& lane) {
    const vec r = sigmoid(lane.projected(0) + recurrent[0]);
    const vec z = sigmoid(lane.projected(1) + recurrent[1]);
    const vec n = hyperbolic_tangent(lane.projected(2) + r * recurrent[2]);
    lane.save(0, r);
    lane.save(1, z);
    lane.save(2, n);
    lane.save(3, recurrent[2]);
    return (1.0f - z) * n + z * load(lane.h);
  }

  static HOLDFAST_INLINE vec gradient(vec dh, const BackLane& lane) {
    const vec r = lane.saved(0), z = lane.saved(1), n = lane.saved(2);
    const vec dn = dh * (1.0f - z) * (1.0f - n * n);
    lane.emit(0, dn * lane.saved(3) * r * (1.0f - r));
    lane.emit(1, dh * (load(lane.h_previous, lane.n) - n) * z * (1.0f - z));
    lane.emit(2, dn, dn * r);
    store(lane.dcandidate, dn * r, lane.n);
    return dh * z;
  }
};

}  // namespace

extern const Kernel gru;
const Kernel gru = kernel_of<Gru>;

}  // namespace holdfast::HOLDFAST_ISA
