// The backward loop for layer norm, a projected hidden state and the reset before the product: each worker
// takes whole rows, and waits for the others before and after each matrix product.
#pragma once

#include "backward.h"
#include "norm.h"

namespace holdfast::HOLDFAST_ISA {

// One sequence at one step.
template <class Cell>
struct GeneralBackRow : BackRow<Cell> {
  using Base = BackRow<Cell>;
  using Base::at, Base::b, Base::dy, Base::g, Base::r, Base::s, Base::w;
  static constexpr int G = Cell::gates, S = Cell::saved;
  using Base::Base;

  float* dx() const { return w.dx + r * G * w.apart; }  // gradients of the gates' arguments: the part of x
  float* dpre() const { return w.dpre + r * G * w.apart; }  // and the part of h
  BackLane lane(int64_t unit) const { return Base::lane(unit, dx(), dpre(), w.apart, w.cells); }
  float* cells(int which) const { return w.cells + which * w.apart; }

  // Split the gradient of the new state: ``fresh`` goes through the step, dh keeps what zoneout passes to the
  // old state.
  void arrive() const {
    float *dh = w.dh + r * w.wide, *fresh = w.fresh + r * w.wide;
    for (int64_t unit = 0; unit < w.P; unit += width) {
      const vec arriving = load(dh + unit) + load(dy + unit, w.P - unit);
      const vec kept = Base::template kept_hidden<true>(unit);
      store(fresh + unit, cut((1.0f - kept) * arriving, w.P - unit));
      store(dh + unit, kept * arriving);
    }
    if (g.dhidden) copy(g.dhidden + at * w.P, fresh, w.P);
  }

  // Compute the gradients of the output gate and of c, in cells(2) and cells(3), from the gradient of the
  // output m.
  void output_gradient(const float* dm) const {
    float *c = cells(0), *normed = cells(1), *dgate = cells(2), *dcell = cells(3);
    for (int64_t unit = 0; unit < w.H; unit += width)
      store(c + unit, cut(Cell::recall(lane(unit)).cell, w.H - unit));
    float inverse = 0.0f;
    if (s.norm_ch) {
      copy(normed, c, w.apart);
      inverse = standardise(normed, w.H);
      for (int64_t unit = 0; unit < w.H; unit += width)
        store(c + unit, load(normed + unit) * load(s.norm_ch + unit, w.H - unit) +
                            load(s.norm_ch_bias + unit, w.H - unit));
    }
    for (int64_t unit = 0; unit < w.H; unit += width) {
      const Pair d =
          Cell::output_gradient(load(dm + unit, w.H - unit), {Cell::recall(lane(unit)).gate, load(c + unit)});
      store(dgate + unit, d.gate);
      store(dcell + unit, d.cell);
    }
    if (!s.norm_ch) return;
    for (int64_t unit = 0; unit < w.H; unit += width) {
      const vec d = load(dcell + unit, w.H - unit);
      lane(unit).add(Slots<Cell>::norm_ch, d * load(normed + unit));
      lane(unit).add(Slots<Cell>::norm_ch_bias, d);
      store(dcell + unit, d * load(s.norm_ch + unit, w.H - unit));
    }
    standardise_gradient(dcell, normed, inverse, w.H);
  }

  void gates_gradient() const {
    float *dh = w.dh + r * w.wide, *dc = w.dc + r * w.narrow;
    for (int64_t unit = 0; unit < w.H; unit += width) {
      const BackLane own = lane(unit);
      Pair d{load(cells(2) + unit), load(cells(3) + unit)};
      vec cell = {}, kept = {};
      if constexpr (Cell::cell_state) {
        cell = load(dc + unit) + own.outside(S - 1);
        kept = Base::template kept_cell<true>(unit);
        d.cell += (1.0f - kept) * cell;
      }
      const Pair past = Cell::gradient(d, own);
      if constexpr (Cell::cell_state)
        store(dc + unit, past.cell + kept * cell);
      else
        store(dh + unit, load(dh + unit) + past.gate);
    }
  }

  // Backpropagate through the gains and the normalisation of some gates, in place. ``part``: 0 of x, 1 of h.
  void norm_gradient(float* d, Range gates, int part) const {
    const float* gain = part ? s.norm_hh : s.norm_ih;
    if (!gain) return;
    const float* normed = g.normed + at * (2 * G * w.H + 2 * G);
    const float *values = normed + part * G * w.H, *inverses = normed + 2 * G * w.H + part * G;
    const int slot = part ? Slots<Cell>::norm_hh : Slots<Cell>::norm_ih;
    for (int64_t gate = gates.first; gate < gates.last; ++gate) {
      float* own = d + gate * w.apart;
      for (int64_t unit = 0; unit < w.H; unit += width) {
        const int64_t n = w.H - unit;
        const vec value = load(own + unit, n);
        lane(unit).add(slot + gate, value * load(values + gate * w.H + unit, n));
        store(own + unit, value * load(gain + gate * w.H + unit, n));
      }
      standardise_gradient(own, values + gate * w.H, inverses[gate], w.H);
    }
  }

  // Backpropagate the gradient of r times the operand, and add the part of h to dh.
  void reset_gradient() const {
    float* dh = w.dh + r * w.wide;
    for (int64_t unit = 0; unit < w.P; unit += width) {
      const BackLane own = lane(unit);
      const vec mask = s.mask ? load(s.mask + b * w.P + unit, own.n) : splat(1.0f);
      const vec d = Cell::reset_gradient(load(w.dreset + r * w.wide + unit), own.before() * mask, own);
      store(dh + unit, load(dh + unit) + d * mask);
    }
  }

  // Write the gradients of the products: of x for dW_ih and dx, of h (which differs with layer norm) for
  // dW_hh and dh.
  void leave() const {
    norm_gradient(dx(), {0, G}, 0);
    for (int gate = 0; gate < G; ++gate) {
      const int64_t to = (at * G + gate) * w.H;
      copy(g.dprojected + to, dx() + gate * w.apart, w.H);
      copy(shift(g.drecurrent, to), dpre() + gate * w.apart, w.H);
      copy(w.da[0] + r * w.gates + gate * w.H, dpre() + gate * w.apart, w.H);
    }
  }
};

template <class Cell>
struct GeneralBackward {
  static constexpr int G = Cell::gates;
  const Sequence& s;
  const Adjoint& g;
  const Rows& rows;
  const PackedWeights& panels;
  const Worker& worker;
  const BackWorkspace<Cell> w;

  template <class Visit>
  void each_row(int64_t t, int64_t active, const Visit& visit) const {
    const Range own = worker.share(active);
    for (int64_t r = own.first; r < own.last; ++r) visit(GeneralBackRow<Cell>(s, g, w, rows, r, t));
    worker.wait();
  }

  void multiply(const Operand& left, const float* panel, int64_t outputs, float* to, int64_t stride) const {
    product<1, 2>(left, panel, outputs, worker, [&](int64_t r, int64_t unit, const vec* sums) {
      store_gates<1, 2>(to + r * stride, unit, 0, sums);
    });
    worker.wait();
  }

  void step(int64_t t, int64_t active) const {
    each_row(t, active, [](const GeneralBackRow<Cell>& row) { row.arrive(); });
    if (s.weight_hr) multiply({active, w.fresh, w.wide, w.P}, panels.projection, w.H, w.dm, w.narrow);
    constexpr int direct = Cell::reset_before ? 2 : 0;
    each_row(t, active, [&](const GeneralBackRow<Cell>& row) {
      row.output_gradient(s.weight_hr ? w.dm + row.r * w.narrow : w.fresh + row.r * w.wide);
      row.gates_gradient();
      row.norm_gradient(row.dpre(), {direct, G}, 1);
      if (!Cell::reset_before) row.leave();
    });
    if constexpr (Cell::reset_before) {
      const Operand left{active, w.dpre + direct * w.apart, G * w.apart, w.H};
      multiply(left, panels.candidate, w.P, w.dreset, w.wide);
      each_row(t, active, [](const GeneralBackRow<Cell>& row) {
        row.reset_gradient();
        row.norm_gradient(row.dpre(), {0, direct}, 1);
        row.leave();
      });
    }
    flow_back(s, rows, w, {active, w.da[0], w.gates, (Cell::reset_before ? 2 : G) * w.H}, panels.recurrent,
              worker);
    worker.wait();
  }

  void run() const {
    start_back(s, g, rows, w, worker);
    each_step({0, s.steps, s.steps, !s.reverse}, rows, [&](int64_t number, int64_t t, int64_t active) {
      step(t, active);
      if (number % flush_steps == 0) w.flush();
      clear(g.dprojected, G * w.H, t, s, rows, active, worker);
      clear(g.drecurrent, G * w.H, t, s, rows, active, worker);
      clear(g.dhidden, w.P, t, s, rows, active, worker);
    });
    finish_back(s, g, rows, w, worker);
  }
};

}  // namespace holdfast::HOLDFAST_ISA
