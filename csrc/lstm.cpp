// Long short-term memory, with PyTorch's order of gates. Saved: the gates and the cell state, after any
// zoneout.
//   i, f, o = sigmoid(x + W h + b);  g = tanh(x + W h + b);  c' = f c + i g;  h' = o tanh(c')
// With peepholes i and f also read c, and o reads c'. Coupled: i = 1 - f, without weights of its own.
#include "kernel.h"

namespace holdfast::HOLDFAST_ISA {
namespace {

template <bool Peephole, bool Coupled>
struct Lstm {
  static constexpr const char* names[2][2] = {{"lstm", "lstm_coupled"},
                                              {"lstm_peephole", "lstm_coupled_peephole"}};
  static constexpr const char* name = names[Peephole][Coupled];
  static constexpr int F = !Coupled, G = F + 1,
                       O = F + 2;  // numbers of the forget gate, the candidate and the output gate
  static constexpr int gates = O + 1, units = units_of(gates), saved = gates + 1,
                       peepholes = Peephole ? gates - 1 : 0;
  static constexpr bool cell_state = true, reset_before = false;

  static HOLDFAST_INLINE vec argument(int gate, const vec* recurrent, const Lane& lane) {
    return lane.projected(gate) + recurrent[gate];
  }

  static HOLDFAST_INLINE StepResult step(const vec* recurrent, const Lane& lane) {
    const vec before = load(lane.c);
    vec f = argument(F, recurrent, lane), i = argument(0, recurrent, lane), o = argument(O, recurrent, lane);
    if constexpr (Peephole) f += lane.peep(F) * before;
    if constexpr (Peephole) i += lane.peep(0) * before;
    f = sigmoid(f);
    i = Coupled ? 1.0f - f : sigmoid(i);
    const vec g = hyperbolic_tangent(argument(G, recurrent, lane)), c = f * before + i * g;
    if constexpr (Peephole) o += lane.peep(peepholes - 1) * c;
    o = sigmoid(o);
    if constexpr (!Coupled) lane.save(0, i);
    lane.save(F, f);
    lane.save(G, g);
    lane.save(O, o);
    return {o, c};
  }

  static HOLDFAST_INLINE vec input(const BackLane& lane) {
    return Coupled ? 1.0f - lane.saved(F) : lane.saved(0);
  }

  static HOLDFAST_INLINE StepResult recall(const BackLane& lane) {
    return {lane.saved(O), lane.saved(F) * lane.cell() + input(lane) * lane.saved(G)};
  }

  static HOLDFAST_INLINE vec output(const StepResult& s) { return s.gate * hyperbolic_tangent(s.cell); }

  static HOLDFAST_INLINE Pair output_gradient(vec dh, const StepResult& s) {
    const vec tanh_c = hyperbolic_tangent(s.cell);
    return {dh * tanh_c, dh * s.gate * (1.0f - tanh_c * tanh_c)};
  }

  // Add to the gradient of a gate's peephole, and return the gradient that passes through it.
  static HOLDFAST_INLINE vec through(int which, vec gradient, vec cell, const BackLane& lane) {
    if constexpr (!Peephole) return vec{};
    lane.add(Slots<Lstm>::peepholes + which, gradient * cell);
    return gradient * lane.peep(which);
  }

  static HOLDFAST_INLINE Pair gradient(const Pair& d, const BackLane& lane) {
    const StepResult s = recall(lane);
    const vec i = input(lane), f = lane.saved(F), g = lane.saved(G), before = lane.cell();
    const vec d_o = (d.gate + lane.outside(O)) * s.gate * (1.0f - s.gate);
    const vec dc = d.cell + through(peepholes - 1, d_o, s.cell, lane);
    vec df = dc * before + lane.outside(F), di = dc * g;
    if constexpr (Coupled)
      df -= di;
    else
      di = (di + lane.outside(0)) * i * (1.0f - i);
    df *= f * (1.0f - f);
    vec dbefore = dc * f + through(F, df, before, lane);
    if constexpr (!Coupled) dbefore += through(0, di, before, lane);
    if constexpr (!Coupled) lane.emit(0, di);
    lane.emit(F, df);
    lane.emit(G, (dc * i + lane.outside(G)) * (1.0f - g * g));
    lane.emit(O, d_o);
    return {vec{}, dbefore};
  }
};

}  // namespace

extern const Kernel *const lstm, *const lstm_peephole, *const lstm_coupled, *const lstm_coupled_peephole;
const Kernel* const lstm = kernels_of<Lstm<false, false>>;
const Kernel* const lstm_peephole = kernels_of<Lstm<true, false>>;
const Kernel* const lstm_coupled = kernels_of<Lstm<false, true>>;
const Kernel* const lstm_coupled_peephole = kernels_of<Lstm<true, true>>;

}  // namespace holdfast::HOLDFAST_ISA
