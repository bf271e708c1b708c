// The forward loop for layer norm, a projected hidden state and the reset before the product: it stores the
// matrix product, and then each worker of the team takes whole rows.
#pragma once

#include "forward.h"
#include "norm.h"

namespace holdfast::HOLDFAST_ISA {

// Normalise some gates of a row in place, then apply gain and bias. ``normed`` keeps the values before gain
// and bias.
inline void normalise(float* row, int64_t apart, int64_t H, Range gates, const float* gain, const float* bias,
                      float* normed, float* inverses) {
  for (int64_t g = gates.first; g < gates.last; ++g) {
    float* values = row + g * apart;
    const float inverse = standardise(values, H);
    if (normed) copy(normed + g * H, values, H), inverses[g] = inverse;
    for (int64_t i = 0; i < H; i += width) {
      const vec shifted = bias ? load(bias + g * H + i, H - i) : vec{};
      store(values + i, load(values + i) * load(gain + g * H + i, H - i) + shifted);
    }
  }
}

// One sequence at one step, whose products with W_hh are known.
template <class Cell>
struct Row {
  static constexpr int G = Cell::gates;
  const Sequence& s;
  const Outputs& out;
  const Workspace<Cell>& w;
  int64_t r, t;
  const float* x;  // projected input; gates are ``w.apart`` floats apart
  int64_t b, at;   // in the batch; t * B + b

  float* sums() const { return w.product + r * G * w.apart; }
  float* gate() const { return w.gate + r * w.narrow; }

  void normalise_product(Range gates) const {
    if (!s.norm_hh) return;
    float* normed = shift(out.normed, at * (2 * G * w.H + 2 * G));
    normalise(sums(), w.apart, w.H, gates, s.norm_hh, s.bias_hh, shift(normed, G * w.H),
              shift(normed, 2 * G * w.H + G));
  }

  Lane lane(int64_t unit) const {
    const int64_t S = Cell::saved + (s.weight_hr != nullptr);
    return {w.H,
            w.H - unit,
            x + unit,
            w.apart,
            w.h + r * w.wide + unit,
            w.c + r * w.narrow + unit,
            shift(s.weight_ch, unit),
            shift(out.saved, at * S * w.H + unit)};
  }

  // Replace the sums of r and z by the gates. The candidate's operand is r times that of the other gates.
  void reset() const {
    for (int64_t unit = 0; unit < w.H; unit += width) {
      float* to = sums() + unit;
      const vec reset = sigmoid(load(x + unit) + load(to));
      store(to, reset);
      store(to + w.apart, sigmoid(load(x + w.apart + unit) + load(to + w.apart)));
      const int64_t place = r * w.wide + unit;
      store(w.operand2 + place, reset * load(w.operand[0] + place));
      lane(unit).save(3, load(w.operand2 + place));
    }
  }

  void step() const {
    for (int64_t unit = 0; unit < w.H; unit += width) {
      vec recurrent[G];
      for (int g = 0; g < G; ++g) recurrent[g] = load(sums() + g * w.apart + unit);
      const Lane own = lane(unit);
      const StepResult result = Cell::step(recurrent, own);
      store(gate() + unit, result.gate);
      store(sums() + unit,
            cut(result.cell, own.n));  // overwrites the first gate's sums, which are no longer needed
      if constexpr (Cell::cell_state)
        own.save(Cell::saved - 1, update_cell(s, at, unit, result.cell, w.c + r * w.narrow + unit));
    }
    if (s.norm_ch) normalise(sums(), w.apart, w.H, {0, 1}, s.norm_ch, s.norm_ch_bias, nullptr, nullptr);
    for (int64_t unit = 0; unit < w.H; unit += width) {
      const vec m = Cell::output({load(gate() + unit), load(sums() + unit)});
      store(gate() + unit, cut(m, w.H - unit));
    }
  }

  void update_unit(int64_t unit, vec value) const {
    const int64_t place = r * w.wide + unit;
    update_hidden(s, at, b, unit, value, w.h + place, w.operand[0] + place, out.y + at * w.P + unit);
  }

  void finish() const {  // without a projection
    for (int64_t unit = 0; unit < w.H; unit += width) update_unit(unit, load(gate() + unit));
  }

  void save_output() const {
    if (out.saved) copy(out.saved + (at * (Cell::saved + 1) + Cell::saved) * w.H, gate(), w.H);
  }
};

template <class Cell, class Format>
struct General {
  static constexpr int G = Cell::gates, U = Cell::units;
  const Sequence& s;
  const Outputs& out;
  const Rows& rows;
  const PackedWeights& panels;
  const Worker& worker;
  const Workspace<Cell> w;
  const Format format{chunk_steps(rows.count) * rows.count, s.inputs > s.hidden  ? s.inputs
                                                            : s.hidden > s.width ? s.hidden
                                                                                 : s.width};

  Row<Cell> row(int64_t r, int64_t t, const float* x) const {
    return {s, out, w, r, t, x, rows.order[r], t * s.batch + rows.order[r]};
  }

  template <class Visit>
  void each_row(int64_t active, const Visit& visit) const {
    const Range own = worker.share(active);
    for (int64_t r = own.first; r < own.last; ++r) visit(r);
    worker.wait();
  }

  // Compute x W_ih + b_ih of a chunk, normalised: [row][gate][unit].
  void project_chunk(const Span& span, float* inputs, float* projected) const {
    project<Cell>(format, s, span, rows, panels.input, inputs, worker,
                  [&](int64_t r, int64_t unit, const vec* sums) {
                    store_gates<G, U>(projected + r * G * w.apart, unit, w.apart, sums);
                  });
    worker.wait();
    if (!s.norm_ih) return;
    each_step(span, rows, [&](int64_t, int64_t t, int64_t active) {
      const Range own = worker.share(active);
      for (int64_t r = own.first; r < own.last; ++r) {
        float* normed = shift(out.normed, (t * s.batch + rows.order[r]) * (2 * G * w.H + 2 * G));
        normalise(projected + r * G * w.apart, w.apart, w.H, {0, G}, s.norm_ih, s.bias_ih, normed,
                  shift(normed, 2 * G * w.H));
      }
      projected += active * G * w.apart;
    });
    worker.wait();
  }

  // Compute W_hh h of all gates. With the reset before the product, r and z replace their sums.
  void recur(int64_t t, int64_t active, const float* x) const {
    constexpr int first = Cell::reset_before ? 2 : G;
    const auto left = format.left({active, w.operand[0], w.wide, w.P});
    product<first, U>(left, panels.recurrent, w.H, worker, [&](int64_t r, int64_t unit, const vec* sums) {
      store_gates<first, U>(w.product + r * G * w.apart, unit, w.apart, sums);
    });
    worker.wait();
    if constexpr (Cell::reset_before) {
      each_row(active, [&](int64_t r) {
        const Row<Cell> own = row(r, t, x + r * G * w.apart);
        own.normalise_product({0, first});
        own.reset();
      });
      const auto reset = format.left({active, w.operand2, w.wide, w.P});
      product<1, 2>(reset, panels.candidate, w.H, worker, [&](int64_t r, int64_t unit, const vec* sums) {
        store_gates<1, 2>(w.product + (r * G + first) * w.apart, unit, w.apart, sums);
      });
      worker.wait();
    }
  }

  void step(int64_t t, int64_t active, const float* x) const {
    recur(t, active, x);
    each_row(active, [&](int64_t r) {
      const Row<Cell> own = row(r, t, x + r * G * w.apart);
      own.normalise_product({Cell::reset_before ? 2 : 0, G});
      own.step();
      s.weight_hr ? own.save_output() : own.finish();
    });
    if (!s.weight_hr) return;
    const auto left = format.left({active, w.gate, w.narrow, w.H});
    product<1, 2>(left, panels.projection, w.P, worker, [&](int64_t r, int64_t unit, const vec* sums) {
      const Row<Cell> own = row(r, t, x);
      own.update_unit(unit, sums[0]);
      if (unit + width < w.P) own.update_unit(unit + width, sums[1]);
    });
    worker.wait();
  }

  void run(const Scratch& scratch) const {
    start(s, rows, w, worker);
    const int64_t together = chunk_steps(rows.count), S = Cell::saved + (s.weight_hr != nullptr);
    float* projected = scratch.chunk + together * rows.count * row_stride(s.inputs);
    for (Span span{0, 0, s.steps, s.reverse}; span.first < s.steps; span.first = span.last) {
      span.last = span.first + together < s.steps ? span.first + together : s.steps;
      project_chunk(span, scratch.chunk, projected);
      const float* x = projected;
      each_step(span, rows, [&](int64_t, int64_t t, int64_t active) {
        step(t, active, x);
        x += active * G * w.apart;
        clear(out.y, w.P, t, s, rows, active, worker);
        clear(out.saved, S * w.H, t, s, rows, active, worker);
        clear(out.normed, 2 * G * w.H + 2 * G, t, s, rows, active, worker);
      });
    }
    const Range own = worker.share(rows.count);
    for (int64_t r = own.first; r < own.last; ++r) {
      copy(out.h + rows.order[r] * w.P, w.h + r * w.wide, w.P);
      if (Cell::cell_state) copy(out.c + rows.order[r] * w.H, w.c + r * w.narrow, w.H);
    }
  }
};

}  // namespace holdfast::HOLDFAST_ISA
