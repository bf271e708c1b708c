// The backward loop, from the last step to the first, in which a worker takes some units of all rows.
// general_backward.h has the options that need whole rows (layer norm, projection, reset before the product).
#pragma once

#include "sequence.h"

namespace holdfast::HOLDFAST_ISA {

// A team's scratch in the backward loop, and each worker's sums.
template <class Cell>
struct BackWorkspace {
  static constexpr int G = Cell::gates, V = Slots<Cell>::count;
  int64_t P, H, wide, narrow, apart, gates;  // strides: of a row of h, of c, between gates, of a row of da
  float *dh, *dc, *da[2];                    // da: the operand of the product with W_hh, alternating by step
  float *fresh, *dm, *dreset, *dx, *dpre;    // for general_backward.h
  float *zeros, *near, *far;

  static int64_t floats(const Sequence& s) {  // for each sequence
    return 3 * row_stride(s.width) + 2 * row_stride(s.hidden) + 2 * row_stride(G * s.hidden) +
           2 * G * padded(s.hidden);
  }

  static int64_t own_floats(const Sequence& s) {  // for each worker
    return 2 * V * padded(s.hidden) + row_stride((Cell::saved + 2) * s.hidden) + 4 * padded(s.hidden);
  }

  BackWorkspace(const Sequence& s, int64_t rows, const Scratch& scratch, const Worker& worker)
      : P(s.width),
        H(s.hidden),
        wide(row_stride(P)),
        narrow(row_stride(H)),
        apart(padded(H)),
        gates(row_stride(G * H)) {
    float* next = scratch.states;
    const auto take = [&](int64_t size) {
      float* taken = next;
      next += size;
      return taken;
    };
    dh = take(rows * wide), fresh = take(rows * wide), dreset = take(rows * wide);
    dc = take(rows * narrow), dm = take(rows * narrow);
    da[0] = take(rows * gates), da[1] = take(rows * gates);
    dx = take(rows * G * apart), dpre = take(rows * G * apart);
    next = scratch.sums + worker.id * own_floats(s);
    far = take(V * apart), near = take(V * apart), zeros = take(row_stride((Cell::saved + 2) * H));
    cells = take(4 * apart);
  }

  float* cells;  // four rows: c, c normalised, gradients of the output gate and of c

  // Add the near sums to the far sums. Sums over many steps need two levels: a single one loses digits.
  void flush() const {
    for (int64_t i = 0; i < V * apart; i += width) {
      store(far + i, load(far + i) + load(near + i));
      store(near + i, vec{});
    }
  }
};

// The arrays of row r at time t, and the lane of one of its vectors.
template <class Cell>
struct BackRow {
  const Sequence& s;
  const Adjoint& g;
  const BackWorkspace<Cell>& w;
  int64_t r, b, at;
  const float *h_previous, *c_previous, *values, *external, *dy;

  BackRow(const Sequence& s, const Adjoint& g, const BackWorkspace<Cell>& w, const Rows& rows, int64_t r,
          int64_t t)
      : s(s), g(g), w(w), r(r), b(rows.order[r]), at(t * s.batch + b) {
    const int64_t H = s.hidden, P = s.width, size = (Cell::saved + (s.weight_hr != nullptr)) * H;
    const int64_t before = s.reverse ? at + s.batch : at - s.batch;
    const bool starts = s.reverse ? t + 1 == rows.lengths[r] : t == 0;
    h_previous = starts ? s.h0 + b * P : g.y + before * P;
    c_previous = !Cell::cell_state ? w.zeros
                 : starts          ? s.c0 + b * H
                                   : g.saved + before * size + (Cell::saved - 1) * H;
    values = g.saved + at * size;
    external = g.dsaved ? g.dsaved + at * size : w.zeros;
    dy = g.dy ? g.dy + at * P : w.zeros;
  }

  BackLane lane(int64_t unit, float* dx, float* da, int64_t apart, float* candidate) const {
    return {s.hidden,
            s.hidden - unit,
            h_previous + unit,
            c_previous + unit,
            shift(s.weight_ch, unit),
            values + unit,
            external + unit,
            dx + unit,
            da + unit,
            apart,
            candidate + unit,
            w.near + unit,
            w.apart};
  }

  // The fraction of the old value that zoneout kept.
  template <bool Noisy>
  vec kept_hidden(int64_t unit) const {
    return Noisy ? keep(s.zoneout[0], at * s.width + unit) : vec{};
  }
  template <bool Noisy>
  vec kept_cell(int64_t unit) const {
    return Noisy && Cell::cell_state ? keep(s.zoneout[1], at * s.hidden + unit) : vec{};
  }
};

// Add da W_hh of each row and unit of h, times the mask, to dh.
template <class Cell>
void flow_back(const Sequence& s, const Rows& rows, const BackWorkspace<Cell>& w, const Operand& left,
               const float* panels, const Worker& worker) {
  product<1, 2>(left, panels, w.P, worker, [&](int64_t r, int64_t unit, const vec* sums) {
    const float* mask = shift(s.mask, rows.order[r] * w.P);
    for (int64_t u = 0; u < 2 && unit + u * width < w.P; ++u) {
      const int64_t place = unit + u * width;
      float* to = w.dh + r * w.wide + place;
      store(to, load(to) + (mask ? sums[u] * load(mask + place, w.P - place) : sums[u]));
    }
  });
}

template <class Cell>
void start_back(const Sequence& s, const Adjoint& g, const Rows& rows, const BackWorkspace<Cell>& w,
                const Worker& worker) {
  const Range own = worker.share(rows.count);
  for (int64_t r = own.first; r < own.last; ++r) {
    copy(w.dh + r * w.wide, shift(g.dh, rows.order[r] * w.P), w.P);
    if (Cell::cell_state) copy(w.dc + r * w.narrow, shift(g.dc, rows.order[r] * s.hidden), s.hidden);
  }
  worker.wait();
}

template <class Cell>
void finish_back(const Sequence& s, const Adjoint& g, const Rows& rows, const BackWorkspace<Cell>& w,
                 const Worker& worker) {
  w.flush();
  worker.wait();
  const Range own = worker.share(rows.count);
  for (int64_t r = own.first; r < own.last; ++r) {
    copy(g.dh0 + rows.order[r] * w.P, w.dh + r * w.wide, w.P);
    if (Cell::cell_state) copy(g.dc0 + rows.order[r] * s.hidden, w.dc + r * w.narrow, s.hidden);
  }
}

constexpr int64_t flush_steps = 32;

template <class Cell, bool Noisy>
void backward_fused(const Sequence& s, const Adjoint& g, const Rows& rows, const PackedWeights& panels,
                    const Scratch& scratch, const Worker& worker) {
  constexpr int G = Cell::gates, S = Cell::saved;
  const BackWorkspace<Cell> w(s, rows.count, scratch, worker);
  const int64_t H = s.hidden, block = 2 * width;
  const Range blocks_own = worker.share(blocks(H, 2));
  const Range units{blocks_own.first * block, blocks_own.last * block < H ? blocks_own.last * block : H};
  start_back(s, g, rows, w, worker);
  each_step({0, s.steps, s.steps, !s.reverse}, rows, [&](int64_t step, int64_t t, int64_t active) {
    float* da = w.da[step & 1];
    for (int64_t r = 0; r < active; ++r) {
      const BackRow<Cell> row(s, g, w, rows, r, t);
      float* dx = g.dprojected + row.at * G * H;
      float* candidate = g.drecurrent ? g.drecurrent + row.at * H : w.cells;
      float *dh = w.dh + r * w.wide, *dc = w.dc + r * w.narrow;
      for (int64_t unit = units.first; unit < units.last; unit += width) {
        const BackLane lane = row.lane(unit, dx, da + r * w.gates, H, candidate);
        const vec arriving = load(dh + unit) + load(row.dy + unit, H - unit);
        const vec kept = row.template kept_hidden<Noisy>(unit);
        Pair d = Cell::output_gradient((1.0f - kept) * arriving, Cell::recall(lane));
        if constexpr (Cell::cell_state) {
          const vec cell = load(dc + unit) + lane.outside(S - 1);
          const vec kept_cell = row.template kept_cell<Noisy>(unit);
          d.cell += (1.0f - kept_cell) * cell;
          const Pair past = Cell::gradient(d, lane);
          store(dc + unit, past.cell + kept_cell * cell);
          store(dh + unit, past.gate + kept * arriving);
        } else {
          store(dh + unit, Cell::gradient(d, lane).gate + kept * arriving);
        }
      }
    }
    if (step % flush_steps == 0) w.flush();
    worker.wait();
    flow_back(s, rows, w, {active, da, w.gates, G * H}, panels.recurrent, worker);
    clear(g.dprojected, G * H, t, s, rows, active, worker);
    clear(g.drecurrent, H, t, s, rows, active, worker);
  });
  finish_back(s, g, rows, w, worker);
}

}  // namespace holdfast::HOLDFAST_ISA
