// The forward loop of most cells: the gate functions run on the registers of the matrix product. general.h
// has the other cells and options.
#pragma once

#include "int8.h"
#include "sequence.h"

namespace holdfast::HOLDFAST_ISA {

// A team's scratch in the forward loop: rows of states, and buffers of the general step.
template <class Cell>
struct Workspace {
  int64_t P, H, wide, narrow, apart;  // strides: of a row of h, of a row of c, between gates
  float *operand[2], *h, *c;          // h times its mask, alternating by step; h; c
  float *operand2, *gate, *product;   // r * operand; output gate, then m; W_hh h of each gate

  static int64_t floats(const Sequence& s) {  // for each sequence
    return 4 * row_stride(s.width) + 2 * row_stride(s.hidden) + Cell::gates * padded(s.hidden);
  }

  Workspace(const Sequence& s, int64_t rows, float* states)
      : P(s.width), H(s.hidden), wide(row_stride(P)), narrow(row_stride(H)), apart(padded(H)) {
    const auto take = [&](int64_t size) {
      float* taken = states;
      states += rows * size;
      return taken;
    };
    operand[0] = take(wide), operand[1] = take(wide), h = take(wide), operand2 = take(wide);
    c = take(narrow), gate = take(narrow), product = take(Cell::gates * apart);
  }
};

// Compute x W_ih + b_ih of the active rows of a span, step after step. ``place`` stores the sums of a row and
// unit.
template <class Cell, class Format, class Place>
void project(const Format& format, const Sequence& s, const Span& span, const Rows& rows, const float* panels,
             float* inputs, const Worker& worker, const Place& place) {
  const int64_t I = s.inputs, stride = row_stride(I);
  int64_t count = 0;
  each_step(span, rows, [&](int64_t, int64_t t, int64_t active) {
    const Range own = worker.share(active);
    for (int64_t r = own.first; r < own.last; ++r)
      copy(inputs + (count + r) * stride, s.x + (t * s.batch + rows.order[r]) * I, I);
    count += active;
  });
  worker.wait();
  product<Cell::gates, Cell::units>(format.left({count, inputs, stride, I}), panels, s.hidden, worker, place);
}

// Copy each sequence's initial state to both operands: in the reverse direction a sequence starts at its own
// end.
template <class Cell>
void start(const Sequence& s, const Rows& rows, const Workspace<Cell>& w, const Worker& worker) {
  const Range own = worker.share(rows.count);
  for (int64_t r = own.first; r < own.last; ++r) {
    const int64_t b = rows.order[r];
    for (float* operand : w.operand)
      scaled(operand + r * w.wide, s.h0 + b * w.P, shift(s.mask, b * w.P), w.P);
    copy(w.h + r * w.wide, s.h0 + b * w.P, w.P);
    if (Cell::cell_state) copy(w.c + r * w.narrow, s.c0 + b * w.H, w.H);
  }
  worker.wait();
}

// Store the next hidden state of a vector of units, with zoneout, and the operand of the next step.
HOLDFAST_INLINE void update_hidden(const Sequence& s, int64_t at, int64_t b, int64_t unit, vec fresh,
                                   float* h, float* operand, float* y) {
  const int64_t n = s.width - unit;
  const vec value = mix(keep(s.zoneout[0], at * s.width + unit), load(h), fresh);
  store(h, value);
  store(operand, s.mask ? value * load(s.mask + b * s.width + unit, n) : value);
  store(y, value, n);
}

HOLDFAST_INLINE vec update_cell(const Sequence& s, int64_t at, int64_t unit, vec fresh, float* c) {
  const vec value = mix(keep(s.zoneout[1], at * s.hidden + unit), load(c), fresh);
  store(c, value);
  return value;
}

template <class Cell, class Format, bool Noisy>
void forward_fused(const Sequence& s, const Outputs& out, const Rows& rows, const PackedWeights& panels,
                   const Scratch& scratch, const Worker& worker) {
  constexpr int G = Cell::gates, U = Cell::units, S = Cell::saved;
  const Workspace<Cell> w(s, rows.count, scratch.states);
  const int64_t H = s.hidden;
  start(s, rows, w, worker);
  const int64_t together = chunk_steps(rows.count);
  const Format format(together * rows.count, s.inputs > H ? s.inputs : H);
  float* projected = scratch.chunk + together * rows.count * row_stride(s.inputs);
  for (Span span{0, 0, s.steps, s.reverse}; span.first < s.steps; span.first = span.last) {
    span.last = span.first + together < s.steps ? span.first + together : s.steps;
    project<Cell>(format, s, span, rows, panels.input, scratch.chunk, worker,
                  [&](int64_t r, int64_t unit, const vec* sums) {
                    float* to = projected + (r * padded(H) + unit) * G;
                    HOLDFAST_UNROLL
                    for (int v = 0; v < G * U; ++v) store(to + v * width, sums[v]);
                  });
    const float* x = projected;
    each_step(span, rows, [&](int64_t step, int64_t t, int64_t active) {
      const float* now = w.operand[step & 1];
      float* next = w.operand[~step & 1];
      product<G, U>(format.left({active, now, w.wide, H}), panels.recurrent, H, worker,
                    [&](int64_t r, int64_t first, const vec* sums) {
                      const int64_t b = rows.order[r], at = t * s.batch + b;
                      for (int64_t u = 0; u < U; ++u) {
                        const int64_t unit = first + u * width, place = r * w.wide + unit;
                        if (unit >= H) return;
                        float* c = w.c + r * w.narrow + unit;
                        float* h = w.h + place;
                        const Lane lane{H,
                                        H - unit,
                                        x + (r * padded(H) + unit) * G,
                                        width,
                                        Noisy ? h : now + place,
                                        c,
                                        shift(s.weight_ch, unit),
                                        shift(out.saved, at * S * H + unit)};
                        const StepResult result = Cell::step(sums + u * G, lane);
                        const vec hidden = Cell::output(result);
                        if constexpr (Cell::cell_state) {
                          if constexpr (Noisy)
                            lane.save(S - 1, update_cell(s, at, unit, result.cell, c));
                          else
                            store(c, result.cell), lane.save(S - 1, result.cell);
                        }
                        if constexpr (Noisy)
                          update_hidden(s, at, b, unit, hidden, h, next + place, out.y + at * H + unit);
                        else
                          store(next + place, hidden), store(out.y + at * H + unit, hidden, H - unit);
                      }
                    });
      x += active * padded(H) * G;
      clear(out.y, H, t, s, rows, active, worker);
      clear(out.saved, S * H, t, s, rows, active, worker);
      worker.wait();
    });
  }
  const Range own = worker.share(rows.count);
  for (int64_t r = own.first; r < own.last; ++r) {
    const int64_t b = rows.order[r], turns = s.reverse ? s.steps : rows.lengths[r];
    copy(out.h + b * H, (Noisy ? w.h : w.operand[turns & 1]) + r * w.wide, H);
    if (Cell::cell_state) copy(out.c + b * H, w.c + r * w.narrow, H);
  }
}

}  // namespace holdfast::HOLDFAST_ISA
