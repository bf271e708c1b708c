// The small matrix product of one time step: sums[row][v] = panel's bias + sum_k a[row][k] * panel[k][v].
//
// The weights are packed once per call into panels. A panel belongs to a block of U vectors of hidden units
// and holds the V = G U vectors of all gates of these units, so that what the gate functions need is summed
// together. It is cut into strips of S vectors, each with its k = bias, 0 ... depth-1: a tile of R rows and S
// vectors of sums fills the registers, and the more rows, the fewer times a strip comes from the caches.
#pragma once

#include "simd.h"
#include "team.h"

namespace holdfast::HOLDFAST_ISA {

template <int V>
constexpr int strip = registers == 32 || V % 2 ? V : 2;

constexpr int most_sums = registers == 32 ? 24 : 12;

// Vectors of a tile of R rows.
template <int R, int V>
constexpr int tile_vectors = R * V <= most_sums ? V : strip<V>;

// Vectors of units of a block, for a cell: an even number of vectors where strips are to be had.
constexpr int units_of(int gates) { return registers == 32 || gates % 2 == 0 ? 1 : 2; }

constexpr int64_t blocks(int64_t hidden, int units) { return (hidden + units * width - 1) / (units * width); }

template <int G, int U>
constexpr int64_t panel_size(int64_t hidden, int64_t depth) {
  return blocks(hidden, U) * (1 + depth) * G * U * width;
}

// A matrix to pack: gates * hidden outputs by depth; an output's weights lie ``along`` apart, outputs
// ``apart``.
struct Matrix {
  const float* weights;
  const float* bias;  // may be null
  int64_t hidden, depth, apart, along;
};

// Visits the outputs of the worker's share of blocks: visit(to, output, present), where output number
// ``output`` (past the last unit it is not present) has one float in each row of S vectors from ``to`` on.
template <int G, int U, class Visit>
void each_output(const Matrix& m, int64_t rows, float* panels, const Worker& worker, const Visit& visit) {
  constexpr int V = G * U, S = strip<V>;
  const Range own = worker.share(blocks(m.hidden, U));
  for (int64_t block = own.first; block < own.last; ++block)
    for (int v = 0; v < V; ++v)
      for (int lane = 0; lane < width; ++lane) {
        const int64_t unit = (block * U + v / G) * width + lane;
        float* to = panels + (block * V + v / S * S) * rows * width + v % S * width + lane;
        visit(to, v % G * m.hidden + unit, unit < m.hidden);
      }
}

// A strip's row: the bias or the weights of one k, of v = u G + g, unit = (block U + u) width + lane. Zero
// past the last unit.
template <int G, int U>
void pack(const Matrix& m, float* panels, const Worker& worker) {
  constexpr int row = strip<G * U> * width;
  each_output<G, U>(m, 1 + m.depth, panels, worker, [&](float* to, int64_t output, bool present) {
    *to = present && m.bias ? m.bias[output] : 0.0f;
    const float* from = m.weights + output * m.apart;
    for (int64_t k = 0; k < m.depth; ++k) to[(1 + k) * row] = present ? from[k * m.along] : 0.0f;
  });
}

// Independent chains of additions where a tile has too few sums to hide the latency of one.
template <int R, int V>
constexpr int chains = R * V >= 8   ? 1
                       : R * V >= 4 ? 2
                                    : 4;

// Some vectors of a panel's row, in strips of S that lie ``apart``.
template <int W, int S>
HOLDFAST_INLINE void load_row(const float* panel, int64_t apart, vec (&row)[W]) {
  HOLDFAST_UNROLL
  for (int v = 0; v < W; ++v) row[v] = load(panel + v / S * apart + v % S * width);
}

template <int R, int W, int S>
HOLDFAST_INLINE void accumulate(const float* a, int64_t stride, const float* panel, int64_t apart,
                                vec (&sum)[R][W]) {
  vec b[W];
  load_row<W, S>(panel, apart, b);
  HOLDFAST_UNROLL
  for (int r = 0; r < R; ++r) {
    const vec value = splat(a[r * stride]);
    HOLDFAST_UNROLL
    for (int v = 0; v < W; ++v) sum[r][v] += value * b[v];
  }
}

// Weights that the next block of units needs come nearer while this one's are summed: each tile asks for one
// of their rows each this many k, so that this many tiles ask for all of them.
constexpr int asking = 4, line_floats = 16;

// sums[r V + v] for R rows and W of V vectors; ``next`` is what to bring nearer.
template <int R, int W, int V>
HOLDFAST_INLINE void tile(const float* a, int64_t stride, const float* panel, const float* next,
                          int64_t depth, vec* sums) {
  constexpr int C = chains<R, W>, S = strip<V>, row = S * width;
  const int64_t apart = (1 + depth) * row;
  vec sum[C][R][W] = {};
  HOLDFAST_UNROLL
  for (int r = 0; r < R; ++r) load_row<W, S>(panel, apart, sum[0][r]);
  panel += row;
  int64_t k = 0;
  for (; k + asking <= depth; k += asking, next += row) {
    if constexpr (R > 1)  // a single row takes what the memory gives
      for (int v = 0; v < W; v += S)
        for (int line = 0; line < row; line += line_floats) prefetch(next + v / S * apart + line);
    HOLDFAST_UNROLL
    for (int c = 0; c < asking; ++c, panel += row)
      accumulate<R, W, S>(a + k + c, stride, panel, apart, sum[c % C]);
  }
  for (; k < depth; ++k, panel += row) accumulate<R, W, S>(a + k, stride, panel, apart, sum[0]);
  HOLDFAST_UNROLL
  for (int r = 0; r < R; ++r) HOLDFAST_UNROLL
  for (int v = 0; v < W; ++v) {
    HOLDFAST_UNROLL
    for (int c = 1; c < C; ++c) sum[0][r][v] += sum[c][r][v];
    sums[r * V + v] = sum[0][r][v];
  }
}

// The left operand: rows of ``depth`` floats, ``stride`` apart.
struct Operand {
  int64_t rows;
  const float* a;
  int64_t stride, depth;

  int64_t panel_rows() const { return 1 + depth; }

  template <int R, int W, int V>
  HOLDFAST_INLINE void sum(int64_t first, const float* panel, const float* next, vec* sums) const {
    tile<R, W, V>(a + first * stride, stride, panel, next, depth, sums);
  }
};

template <int R, int V, class Left>
void sum_rows(int64_t rows, const Left& left, int64_t first, const float* panel, const float* next,
              vec* sums) {
  constexpr int W = tile_vectors<R, V>;
  const int64_t column = left.panel_rows() * width;
  if (rows == R)
    for (int v = 0; v < V; v += W)
      left.template sum<R, W, V>(first, panel + v * column, next + v * column, sums + v);
  else if constexpr (R > 1)
    sum_rows<R - 1, V>(rows, left, first, panel, next, sums);
}

// For each block of the worker's share and each row: finish(row, first unit of the block, sums of the V
// vectors). Rows are dealt evenly to tiles. ``Left`` is an Operand or what int8.h makes of one.
template <int G, int U, class Left, class Finish>
void product(const Left& left, const float* panels, int64_t hidden, const Worker& worker,
             const Finish& finish) {
  constexpr int V = G * U, R = most_sums / strip<V>;
  const int64_t rows = left.rows, tiles = (rows + R - 1) / R, size = left.panel_rows() * V * width;
  const int64_t part = left.panel_rows() / asking * strip<V> * width;
  const Range own = worker.share(blocks(hidden, U));
  for (int64_t block = own.first; block < own.last; ++block)
    for (int64_t i = 0; i < tiles; ++i) {
      const int64_t first = rows * i / tiles, count = rows * (i + 1) / tiles - first;
      const float* panel = panels + block * size;
      vec sums[R * V];
      sum_rows<R, V>(count, left, first, panel, panel + size + i % asking * part, sums);
      for (int64_t r = 0; r < count; ++r) finish(first + r, block * U * width, sums + r * V);
    }
}

// Weights as they are given; int8.h has the other kind.
struct Float32 {
  static constexpr const char* suffix = "";
  Float32(int64_t, int64_t) {}  // most rows and greatest depth of a product

  template <int G, int U>
  static constexpr int64_t size(int64_t hidden, int64_t depth) {
    return panel_size<G, U>(hidden, depth);
  }

  template <int G, int U>
  static void pack(const Matrix& m, float* panels, const Worker& worker) {
    HOLDFAST_ISA::pack<G, U>(m, panels, worker);
  }

  const Operand& left(const Operand& operand) const { return operand; }
};

}  // namespace holdfast::HOLDFAST_ISA
