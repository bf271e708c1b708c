// The small matrix product of one time step: sums[row][v] = panel's bias + sum_k a[row][k] * panel[k][v].
//
// The weights are packed once per call into panels. A panel belongs to a block of U vectors of hidden units
// and holds the V = G U vectors of all gates of these units: one tile sums everything that the gate functions
// need. A panel is divided into strips of S vectors, each with its k = bias, 0 ... depth-1. The sums of R
// rows and S vectors fill the registers. The more rows a tile has, the fewer times a strip is read from the
// caches.
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

// Vectors of units in a block, for a cell: an even number of vectors where that allows strips.
constexpr int units_of(int gates) { return registers == 32 || gates % 2 == 0 ? 1 : 2; }

constexpr int64_t blocks(int64_t hidden, int units) { return (hidden + units * width - 1) / (units * width); }

template <int G, int U>
constexpr int64_t panel_size(int64_t hidden, int64_t depth) {
  return blocks(hidden, U) * (1 + depth) * G * U * width;
}

// A matrix to pack: gates * hidden outputs by depth. An output's weights are ``along`` floats apart, two
// outputs
// ``apart``.
struct Matrix {
  const float* weights;
  const float* bias;  // may be null
  int64_t hidden, depth, apart, along;
};

// Call visit(to, output, present) for the outputs of the worker's share of blocks. Output number ``output``
// has one float in each row of S vectors from ``to`` on. It is not present past the last unit.
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

// Pack a matrix. A strip's row has the bias or the weights of one k, for v = u G + g and unit = (block U + u)
// width + lane. It is zero past the last unit.
template <int G, int U>
void pack(const Matrix& m, float* panels, const Worker& worker) {
  constexpr int row = strip<G * U> * width;
  each_output<G, U>(m, 1 + m.depth, panels, worker, [&](float* to, int64_t output, bool present) {
    *to = present && m.bias ? m.bias[output] : 0.0f;
    const float* from = m.weights + output * m.apart;
    for (int64_t k = 0; k < m.depth; ++k) to[(1 + k) * row] = present ? from[k * m.along] : 0.0f;
  });
}

// Independent chains of additions, for tiles with too few sums to hide the latency of an addition.
template <int R, int V>
constexpr int chains = R * V >= 8   ? 1
                       : R * V >= 4 ? 2
                                    : 4;

// Load some vectors of a panel's row. Its strips of S vectors are ``apart`` floats apart.
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

// Prefetch: while one block of units is summed, its tiles prefetch the weights of the next block. Each tile
// prefetches one row for every ``prefetch_every`` k, so that this many tiles prefetch all rows.
constexpr int prefetch_every = 4, line_floats = 16;

// Compute sums[r V + v] for R rows and W of V vectors, and prefetch ``next``.
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
  for (; k + prefetch_every <= depth; k += prefetch_every, next += row) {
    if constexpr (R > 1)  // a single row is limited by memory bandwidth
      for (int v = 0; v < W; v += S)
        for (int line = 0; line < row; line += line_floats) prefetch(next + v / S * apart + line);
    HOLDFAST_UNROLL
    for (int c = 0; c < prefetch_every; ++c, panel += row)
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

// The left operand: rows of ``depth`` floats that are ``stride`` floats apart.
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

// Call finish(row, first unit of the block, sums of the V vectors) for each block of the worker's share and
// each row. The rows are divided evenly among tiles. ``Left`` is an Operand or its quantised form (int8.h).
template <int G, int U, class Left, class Finish>
void product(const Left& left, const float* panels, int64_t hidden, const Worker& worker,
             const Finish& finish) {
  constexpr int V = G * U, R = most_sums / strip<V>;
  const int64_t rows = left.rows, tiles = (rows + R - 1) / R, size = left.panel_rows() * V * width;
  const int64_t part = left.panel_rows() / prefetch_every * strip<V> * width;
  const Range own = worker.share(blocks(hidden, U));
  for (int64_t block = own.first; block < own.last; ++block)
    for (int64_t i = 0; i < tiles; ++i) {
      const int64_t first = rows * i / tiles, count = rows * (i + 1) / tiles - first;
      const float* panel = panels + block * size;
      vec sums[R * V];
      sum_rows<R, V>(count, left, first, panel, panel + size + i % prefetch_every * part, sums);
      for (int64_t r = 0; r < count; ++r) finish(first + r, block * U * width, sums + r * V);
    }
}

// float32 weights, as they are given. int8.h has int8 weights.
struct Float32 {
  static constexpr const char* suffix = "";
  Float32(int64_t, int64_t) {}  // largest number of rows and largest depth of a product

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
