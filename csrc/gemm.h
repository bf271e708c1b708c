// The small matrix product of one time step: sums[row][v] = panel's bias + sum_k a[row][k] * panel[k][v].
//
// The weights are packed once per call into panels. A panel belongs to a block of ``units`` vectors of hidden
// units and holds, for k = bias, 0 ... depth-1, the weights of all ``gates`` of these units side by side, so
// that a tile of registers ends up with everything that the gate functions of its units need.
#pragma once

#include "crew.h"
#include "simd.h"

namespace holdfast::HOLDFAST_ISA {

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

// panels[block][1 + depth][u * G + g][lane] = weights of output g * H + unit, where unit = (block * units +
// u) * width + lane; the first row is the bias. Zero past the last unit. Steps of 64 keep the target in
// cache.
template <int G, int U>
void pack(const Matrix& m, float* panels, const Member& member) {
  const int64_t row = G * U * width;
  const Share own = member.share(blocks(m.hidden, U));
  for (int64_t block = own.first; block < own.last; ++block) {
    float* panel = panels + block * (1 + m.depth) * row;
    for (int64_t first = 0; first == 0 || first < m.depth; first += 64)
      for (int lane = 0; lane < row; ++lane) {
        const int64_t unit = (block * U + lane / (G * width)) * width + lane % width;
        const int64_t output = lane / width % G * m.hidden + unit;
        const int64_t last = first + 64 < m.depth ? first + 64 : m.depth;
        float* to = panel + (first + 1) * row + lane;
        if (first == 0) panel[lane] = unit < m.hidden && m.bias ? m.bias[output] : 0.0f;
        if (unit >= m.hidden) {
          for (int64_t k = first; k < last; ++k, to += row) *to = 0.0f;
          continue;
        }
        const float* from = m.weights + output * m.apart + first * m.along;
        for (int64_t k = first; k < last; ++k, to += row, from += m.along) *to = *from;
      }
  }
}

// As many rows as the register file allows: 12 or 24 sums.
template <int V>
constexpr int tile_rows = (registers == 32 ? 24 : 12) / V;

// Independent chains of additions where a tile has too few sums to hide the latency of one.
template <int R, int V>
constexpr int chains = R * V >= 8   ? 1
                       : R * V >= 4 ? 2
                                    : 4;

template <int R, int V>
HOLDFAST_INLINE void accumulate(const float* a, int64_t stride, const float* panel, vec (&sum)[R][V]) {
  vec b[V];
  HOLDFAST_UNROLL
  for (int v = 0; v < V; ++v) b[v] = load(panel + v * width);
  HOLDFAST_UNROLL
  for (int r = 0; r < R; ++r) {
    const vec value = splat(a[r * stride]);
    HOLDFAST_UNROLL
    for (int v = 0; v < V; ++v) sum[r][v] += value * b[v];
  }
}

template <int R, int V>
HOLDFAST_INLINE void tile(const float* a, int64_t stride, const float* panel, int64_t depth, vec (*sums)[V]) {
  constexpr int C = chains<R, V>;
  vec sum[C][R][V] = {};
  HOLDFAST_UNROLL
  for (int r = 0; r < R; ++r) HOLDFAST_UNROLL
  for (int v = 0; v < V; ++v) sum[0][r][v] = load(panel + v * width);
  panel += V * width;
  int64_t k = 0;
  for (; k + C <= depth; k += C) HOLDFAST_UNROLL
  for (int c = 0; c < C; ++c, panel += V * width) accumulate<R, V>(a + k + c, stride, panel, sum[c]);
  for (; k < depth; ++k, panel += V * width) accumulate<R, V>(a + k, stride, panel, sum[0]);
  HOLDFAST_UNROLL
  for (int r = 0; r < R; ++r) HOLDFAST_UNROLL
  for (int v = 0; v < V; ++v) {
    HOLDFAST_UNROLL
    for (int c = 1; c < C; ++c) sum[0][r][v] += sum[c][r][v];
    sums[r][v] = sum[0][r][v];
  }
}

// The left operand: rows of ``depth`` floats, ``stride`` apart.
struct Operand {
  int64_t rows;
  const float* a;
  int64_t stride, depth;

  int64_t panel_rows() const { return 1 + depth; }

  template <int R, int V>
  HOLDFAST_INLINE void sum(int64_t first, const float* panel, vec (*sums)[V]) const {
    tile<R, V>(a + first * stride, stride, panel, depth, sums);
  }
};

template <int R, int V, class Left>
void sum_rows(int64_t rows, const Left& left, int64_t first, const float* panel, vec (*sums)[V]) {
  if (rows == R)
    left.template sum<R, V>(first, panel, sums);
  else if constexpr (R > 1)
    sum_rows<R - 1, V>(rows, left, first, panel, sums);
}

// For each block of the member's share and each row: finish(row, first unit of the block, sums of the V
// vectors). Rows are dealt evenly to tiles. ``Left`` is an Operand or what int8.h makes of one.
template <int G, int U, class Left, class Finish>
void product(const Left& left, const float* panels, int64_t hidden, const Member& member,
             const Finish& finish) {
  constexpr int V = G * U, R = tile_rows<V>;
  const int64_t rows = left.rows, tiles = (rows + R - 1) / R;
  const Share own = member.share(blocks(hidden, U));
  for (int64_t block = own.first; block < own.last; ++block) {
    const float* panel = panels + block * left.panel_rows() * V * width;
    for (int64_t i = 0; i < tiles; ++i) {
      const int64_t first = rows * i / tiles, count = rows * (i + 1) / tiles - first;
      vec sums[R][V];
      sum_rows<R, V>(count, left, first, panel, sums);
      for (int64_t r = 0; r < count; ++r) finish(first + r, block * U * width, sums[r]);
    }
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
  static void pack(const Matrix& m, float* panels, const Member& member) {
    HOLDFAST_ISA::pack<G, U>(m, panels, member);
  }

  const Operand& left(const Operand& operand) const { return operand; }
};

}  // namespace holdfast::HOLDFAST_ISA
