// The loops over time that all cells share. A cell gives the equations of one vector of hidden units:
//   gates, units (vectors per tile), saved (S), cell_state
//   static vec step(const vec* recurrent, const Lane&): the new hidden state from W_hh h + b_hh of each gate
//   static vec gradient(vec dh, const BackLane&): writes the gates' gradients, returns what flows past them
#pragma once

#include "gemm.h"
#include "recurrent.h"

namespace holdfast::HOLDFAST_ISA {

// One vector of units of one sequence at one step; n of its lanes are units.
struct Lane {
  int64_t hidden, n;
  const float* x;  // projected input of gate 0; the other gates follow, a vector each
  const float* h;  // hidden state before the step
  float* c;        // cell state, updated in place
  float* saved;    // may be null

  vec projected(int gate) const { return load(x + gate * width); }
  void save(int slot, vec value) const {
    if (saved) store(saved + slot * hidden, value, n);
  }
};

struct BackLane {
  int64_t hidden, n;
  const float* y;           // hidden state after the step
  const float* h_previous;  // and before it
  const float* c_previous;
  const float* values;  // saved by the step
  float* dc;            // gradient of the cell state, updated in place
  float* dx;            // gradient of the projected input, gate 0
  float* da;            // gradient of W_hh h + b_hh, gate 0: operand of the product with W_hh
  float* dcandidate;

  vec saved(int slot) const { return load(values + slot * hidden, n); }
  void emit(int gate, vec value) const { emit(gate, value, value); }
  void emit(int gate, vec projected, vec recurrent) const {
    store(dx + gate * hidden, projected, n);
    store(da + gate * hidden, recurrent, n);
  }
};

// Steps first ... last - 1 of the loop over ``steps``; ``down`` runs from the last t to the first.
struct Span {
  int64_t first, last, steps;
  bool down;
};

// visit(step number, t, active rows) in the order of the loop.
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

// An absent array stays absent.
template <class Float>
HOLDFAST_INLINE Float* shift(Float* array, int64_t n) {
  return array ? array + n : nullptr;
}

HOLDFAST_INLINE void copy(float* to, const float* from, int64_t n) {
  if (to && from) memcpy(to, from, n * sizeof(float));
}

// Zero array[t, row] of the rows that are past their end; null is skipped.
inline void clear(float* array, int64_t width, int64_t t, int64_t batch, const Rows& rows, int64_t active) {
  if (!array) return;
  for (int64_t r = active; r < rows.count; ++r)
    memset(array + (t * batch + rows.order[r]) * width, 0, width * sizeof(float));
}

template <class Cell>
void pack_weights(const float* weight, const float* bias, int64_t depth, int64_t hidden, float* panels) {
  pack<Cell::gates, Cell::units>(hidden, depth, panels, [&](int64_t row, int64_t k) {
    if (k < 0) return bias ? bias[row] : 0.0f;
    return weight[row * depth + k];
  });
}

template <class Cell>
void pack_forward(const Sequence& s, const Panels& panels) {
  pack_weights<Cell>(s.weight_ih, s.bias_ih, s.inputs, s.hidden, panels.input);
  pack_weights<Cell>(s.weight_hh, s.bias_hh, s.hidden, s.hidden, panels.recurrent);
}

template <class Cell>
void pack_adjoint(const Sequence& s, float* panels) {
  pack<1, 2>(s.hidden, Cell::gates * s.hidden, panels,
             [&](int64_t unit, int64_t k) { return k < 0 ? 0.0f : s.weight_hh[k * s.hidden + unit]; });
}

// x W_ih + b_ih of the active rows of a span, step after step. A row of ``projected`` holds, for each vector
// of hidden units, all its gates side by side.
template <class Cell>
void project(const Sequence& s, const Span& span, const Rows& rows, const float* panels, float* inputs,
             float* projected) {
  constexpr int G = Cell::gates, U = Cell::units;
  const int64_t I = s.inputs, stride = row_stride(I);
  int64_t count = 0;
  each_step(span, rows, [&](int64_t, int64_t t, int64_t active) {
    for (int64_t r = 0; r < active; ++r, ++count)
      copy(inputs + count * stride, s.x + (t * s.batch + rows.order[r]) * I, I);
  });
  product<G, U>(count, inputs, stride, panels, I, s.hidden, [&](int64_t r, int64_t first, const vec* sums) {
    float* to = projected + (r * padded(s.hidden) + first) * G;
    HOLDFAST_UNROLL
    for (int v = 0; v < G * U; ++v) store(to + v * width, sums[v]);
  });
}

// States: two hidden states, which take turns, and the cell state. A sequence's initial state stands in both
// hidden states: in the reverse direction it joins at its own end. Chunk: inputs of some steps, and their
// projection.
template <class Cell>
void forward(const Sequence& s, const Outputs& out, const Rows& rows, const Panels& panels, float* states,
             float* chunk) {
  constexpr int G = Cell::gates, U = Cell::units, S = Cell::saved;
  const int64_t H = s.hidden, stride = row_stride(H), size = rows.count * stride;
  float* h[2] = {states, states + size};
  float* c = states + 2 * size;
  for (int64_t r = 0; r < rows.count; ++r) {
    for (float* state : h) copy(state + r * stride, s.h0 + rows.order[r] * H, H);
    if (Cell::cell_state) copy(c + r * stride, s.c0 + rows.order[r] * H, H);
  }
  const int64_t together = chunk_steps(rows.count);
  float* projected = chunk + together * rows.count * row_stride(s.inputs);
  for (Span span{0, 0, s.steps, s.reverse}; span.first < s.steps; span.first = span.last) {
    span.last = span.first + together < s.steps ? span.first + together : s.steps;
    project<Cell>(s, span, rows, panels.input, chunk, projected);
    const float* x = projected;
    each_step(span, rows, [&](int64_t step, int64_t t, int64_t active) {
      const float* now = h[step & 1];
      float* next = h[~step & 1];
      product<G, U>(active, now, stride, panels.recurrent, H, H,
                    [&](int64_t r, int64_t first, const vec* sums) {
                      const int64_t at = t * s.batch + rows.order[r];
                      for (int64_t u = 0; u < U; ++u) {
                        const int64_t unit = first + u * width, place = r * stride + unit;
                        if (unit >= H) return;
                        const Lane lane{H,           H - unit,  x + (r * padded(H) + unit) * G,
                                        now + place, c + place, shift(out.saved, at * S * H + unit)};
                        const vec hidden = Cell::step(sums + u * G, lane);
                        store(next + place, hidden);
                        store(out.y + at * H + unit, hidden, H - unit);
                      }
                    });
      x += active * padded(H) * G;
      clear(out.y, H, t, s.batch, rows, active);
      clear(out.saved, S * H, t, s.batch, rows, active);
    });
  }
  for (int64_t r = 0; r < rows.count; ++r) {
    const int64_t b = rows.order[r], turns = s.reverse ? s.steps : rows.lengths[r];
    copy(out.h + b * H, h[turns & 1] + r * stride, H);
    if (Cell::cell_state) copy(out.c + b * H, c + r * stride, H);
  }
}

// Scratch: gradients of the hidden state and of the cell state, and the gates' gradients of one step.
template <class Cell>
void backward(const Sequence& s, const Adjoint& g, const Rows& rows, const float* panels, float* scratch) {
  constexpr int G = Cell::gates, S = Cell::saved;
  const int64_t H = s.hidden, stride = row_stride(H), size = rows.count * stride, gates = row_stride(G * H);
  float *dh = scratch, *dc = scratch + size, *da = scratch + 2 * size;
  for (int64_t r = 0; r < rows.count; ++r) {
    if (g.dh) copy(dh + r * stride, g.dh + rows.order[r] * H, H);
    if (g.dc) copy(dc + r * stride, g.dc + rows.order[r] * H, H);
  }
  each_step({0, s.steps, s.steps, !s.reverse}, rows, [&](int64_t, int64_t t, int64_t active) {
    for (int64_t r = 0; r < active; ++r) {
      const int64_t b = rows.order[r], at = t * s.batch + b, before = s.reverse ? at + s.batch : at - s.batch;
      const bool starts = s.reverse ? t + 1 == rows.lengths[r] : t == 0;
      const float* h_previous = starts ? s.h0 + b * H : g.y + before * H;
      const float* c_previous = !Cell::cell_state ? nullptr
                                : starts          ? s.c0 + b * H
                                                  : g.saved + before * S * H + (S - 1) * H;
      for (int64_t unit = 0; unit < H; unit += width) {
        const int64_t place = r * stride + unit, n = H - unit;
        const BackLane lane{H,
                            n,
                            g.y + at * H + unit,
                            h_previous + unit,
                            shift(c_previous, unit),
                            shift(g.saved, at * S * H + unit),
                            dc + place,
                            g.dprojected + at * G * H + unit,
                            da + r * gates + unit,
                            shift(g.dcandidate, at * H + unit)};
        vec total = load(dh + place);
        if (g.dy) total += load(g.dy + at * H + unit, n);
        store(dh + place, Cell::gradient(total, lane));
      }
    }
    product<1, 2>(active, da, gates, panels, G * H, H, [&](int64_t r, int64_t first, const vec* sums) {
      float* to = dh + r * stride + first;
      store(to, load(to) + sums[0]);
      store(to + width, load(to + width) + sums[1]);
    });
    clear(g.dprojected, G * H, t, s.batch, rows, active);
    clear(g.dcandidate, H, t, s.batch, rows, active);
  });
  for (int64_t r = 0; r < rows.count; ++r) {
    copy(g.dh0 + rows.order[r] * H, dh + r * stride, H);
    if (Cell::cell_state) copy(g.dc0 + rows.order[r] * H, dc + r * stride, H);
  }
}

template <class Cell>
constexpr Kernel kernel_of = {Cell::gates,   Cell::saved,        pack_forward<Cell>,
                              forward<Cell>, pack_adjoint<Cell>, backward<Cell>};

}  // namespace holdfast::HOLDFAST_ISA
