// Gated recurrent unit, with PyTorch's order of gates. Saved: r, z, n and the fourth value below.
//   r, z = sigmoid(x + W h + b);  h' = (1 - z) n + z h
//   gru:              n = tanh(x + r (W h + b)); saved W h + b
//   gru_reset_before: n = tanh(x + W (r h) + b); saved r h
#include "kernel.h"

namespace holdfast::HOLDFAST_ISA {
namespace {

struct Gru : Stateless {
  static constexpr const char* name = "gru";
  static constexpr int gates = 3, units = units_of(gates), saved = 4;

  static HOLDFAST_INLINE StepResult blend(const Lane& lane, vec r, vec z, vec n) {
    lane.save(0, r);
    lane.save(1, z);
    lane.save(2, n);
    return {(1.0f - z) * n + z * load(lane.h), vec{}};
  }

  static HOLDFAST_INLINE StepResult step(const vec* recurrent, const Lane& lane) {
    const vec r = sigmoid(lane.projected(0) + recurrent[0]);
    const vec z = sigmoid(lane.projected(1) + recurrent[1]);
    const vec n = hyperbolic_tangent(lane.projected(2) + r * recurrent[2]);
    lane.save(3, recurrent[2]);
    return blend(lane, r, z, n);
  }

  // Return the gradient of the candidate's argument, and emit that of the update gate.
  static HOLDFAST_INLINE vec candidate_gradient(vec dh, vec z, const BackLane& lane) {
    const vec n = lane.saved(2);
    lane.emit(1, (dh * (lane.before() - n) + lane.outside(1)) * z * (1.0f - z));
    return (dh * (1.0f - z) + lane.outside(2)) * (1.0f - n * n);
  }

  static HOLDFAST_INLINE Pair gradient(const Pair& d, const BackLane& lane) {
    const vec r = lane.saved(0), z = lane.saved(1), dn = candidate_gradient(d.gate, z, lane);
    lane.emit(0, (dn * lane.saved(3) + lane.outside(0)) * r * (1.0f - r));
    lane.emit(2, dn, dn * r);
    lane.add(Slots<Gru>::candidate, dn * r);
    store(lane.candidate, dn * r, lane.n);
    return {d.gate * z, vec{}};
  }
};

struct ResetBefore : Gru {
  static constexpr const char* name = "gru_reset_before";
  static constexpr bool reset_before = true;

  // The first two are r and z, not sums.
  static HOLDFAST_INLINE StepResult step(const vec* recurrent, const Lane& lane) {
    return blend(lane, recurrent[0], recurrent[1], hyperbolic_tangent(lane.projected(2) + recurrent[2]));
  }

  static HOLDFAST_INLINE Pair gradient(const Pair& d, const BackLane& lane) {
    const vec z = lane.saved(1);
    lane.emit(2, candidate_gradient(d.gate, z, lane));
    return {d.gate * z, vec{}};
  }

  // Return the gradient of the operand, from that of r times the operand, which the candidate's weights
  // multiply.
  static HOLDFAST_INLINE vec reset_gradient(vec dreset, vec operand, const BackLane& lane) {
    const vec r = lane.saved(0);
    lane.emit(0, (dreset * operand + lane.outside(0)) * r * (1.0f - r));
    return dreset * r;
  }
};

}  // namespace

extern const Kernel *const gru, *const gru_reset_before;
const Kernel* const gru = kernels_of<Gru>;
const Kernel* const gru_reset_before = kernels_of<ResetBefore>;

}  // namespace holdfast::HOLDFAST_ISA
