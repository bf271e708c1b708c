// Shared parts of the loops over time. A cell defines the equations of one vector of hidden units:
//   name, gates, units (vectors per tile), saved (S), peepholes, cell_state, reset_before
//   StepResult step(const vec* recurrent, const Lane&): from W_hh h + b_hh of each gate
//   vec output(StepResult): the hidden state; Pair output_gradient(vec dh, StepResult)
//   StepResult recall(const BackLane&): the argument of output(), from the saved values of the step
//   Pair gradient(Pair, const BackLane&): emits the gates' gradients; returns the gradients that reach h and
//   c
//     without passing W_hh
#pragma once

#include "gates.h"
#include "gemm.h"
#include "noise.h"
#include "recurrent.h"

namespace holdfast::HOLDFAST_ISA {

// The argument of output(): an LSTM's output gate and new cell state; for other cells the hidden state
// itself.
struct StepResult {
  vec gate, cell;
};

// Gradients with respect to the two vectors of a StepResult, or to the old hidden state and cell state.
struct Pair {
  vec gate, cell;
};

// One vector of units of one sequence at one step; n of its lanes are units.
struct Lane {
  int64_t hidden, n;
  const float* x;  // projected input of gate 0; gates are ``apart`` floats apart
  int64_t apart;
  const float* h;  // hidden state and cell before the step
  const float* c;
  const float* peephole;
  float* saved;  // may be null

  HOLDFAST_INLINE vec projected(int gate) const { return load(x + gate * apart); }
  HOLDFAST_INLINE vec peep(int which) const { return load(peephole + which * hidden, n); }
  HOLDFAST_INLINE void save(int slot, vec value) const {
    if (saved) store(saved + slot * hidden, value, n);
  }
};

struct BackLane {
  int64_t hidden, n;
  const float* h_previous;
  const float* c_previous;
  const float* peephole;
  const float* values;    // saved by the step
  const float* external;  // gradient of these values from outside the layer
  float* dx;              // gradient of the projected input, gate 0; gates are ``apart`` floats apart
  float* da;              // gradient of W_hh h + b_hh likewise: operand of the product with W_hh
  int64_t apart;
  float* candidate;  // a second copy of da of a GRU's candidate
  float* sums;       // of the gradients of vectors; slots are ``slot`` floats apart
  int64_t slot;

  HOLDFAST_INLINE vec saved(int i) const { return load(values + i * hidden, n); }
  HOLDFAST_INLINE vec outside(int i) const { return load(external + i * hidden, n); }
  HOLDFAST_INLINE vec before() const { return load(h_previous, n); }
  HOLDFAST_INLINE vec cell() const { return load(c_previous, n); }
  HOLDFAST_INLINE vec peep(int which) const { return load(peephole + which * hidden, n); }
  HOLDFAST_INLINE void add(int i, vec value) const { store(sums + i * slot, load(sums + i * slot) + value); }
  HOLDFAST_INLINE void emit(int gate, vec projected, vec recurrent) const {
    store(dx + gate * apart, projected, n);
    store(da + gate * apart, recurrent, n);
    add(gate, projected);
  }
  HOLDFAST_INLINE void emit(int gate, vec value) const { emit(gate, value, value); }
};

// The order of the sums of vectors' gradients: the biases of the G gates, b_hh of a GRU's candidate, then
// these.
template <class Cell>
struct Slots {
  static constexpr int candidate = Cell::gates, peepholes = candidate + 1,
                       norm_ih = peepholes + Cell::peepholes, norm_hh = norm_ih + Cell::gates,
                       norm_ch = norm_hh + Cell::gates, norm_ch_bias = norm_ch + 1, count = norm_ch_bias + 1;
};

// The output of a cell without a cell state is its hidden state.
struct Stateless {
  static constexpr int peepholes = 0;
  static constexpr bool cell_state = false, reset_before = false;
  static HOLDFAST_INLINE vec output(const StepResult& s) { return s.gate; }
  static HOLDFAST_INLINE Pair output_gradient(vec dh, const StepResult&) { return {dh, vec{}}; }
  static HOLDFAST_INLINE StepResult recall(const BackLane&) { return {vec{}, vec{}}; }
};

// Steps first ... last - 1 of the loop over ``steps``; ``down`` runs from the last t to the first.
struct Span {
  int64_t first, last, steps;
  bool down;
};

// Call visit(step number, t, active rows) in the order of the loop.
template <class Visit>
void each_step(const Span& span, const Rows& rows, const Visit& visit) {
  int64_t active = span.down ? 0 : rows.count;
  for (int64_t s = span.first; s < span.last; ++s) {
    const int64_t t = span.down ? span.steps - 1 - s : s;
    while (active < rows.count && rows.lengths[active] > t) ++active;
    while (active > 0 && rows.lengths[active - 1] <= t) --active;
    visit(s, t, active);
  }
}

// Advance a pointer by n floats. A null pointer stays null.
template <class Float>
HOLDFAST_INLINE Float* shift(Float* array, int64_t n) {
  return array ? array + n : nullptr;
}

HOLDFAST_INLINE void copy(float* to, const float* from, int64_t n) {
  if (to && from) memcpy(to, from, n * sizeof(float));
}

// Set to = from * factors. Absent factors are 1.
inline void scaled(float* to, const float* from, const float* factors, int64_t n) {
  if (!factors) return copy(to, from, n);
  for (int64_t i = 0; i < n; ++i) to[i] = from[i] * factors[i];
}

// Zero array[t, row] for the worker's share of the rows that are past their end. A null array is skipped.
inline void clear(float* array, int64_t size, int64_t t, const Sequence& s, const Rows& rows, int64_t active,
                  const Worker& worker) {
  if (!array) return;
  const Range own = worker.share(rows.count - active);
  for (int64_t r = active + own.first; r < active + own.last; ++r)
    memset(array + (t * s.batch + rows.order[r]) * size, 0, size * sizeof(float));
}

// Store the sums of a matrix product from unit ``unit`` on, gate after gate.
template <int G, int U>
HOLDFAST_INLINE void store_gates(float* row, int64_t unit, int64_t apart, const vec* sums) {
  HOLDFAST_UNROLL
  for (int v = 0; v < G * U; ++v) store(row + v % G * apart + unit + v / G * width, sums[v]);
}

}  // namespace holdfast::HOLDFAST_ISA
