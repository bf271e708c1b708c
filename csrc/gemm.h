// The small matrix product of one time step: sums[row][v] = panel's bias + sum_k a[row][k] * panel[k][v].
//
// The weights are packed once per call into panels. A panel belongs to a block of ``units`` vectors of hidden
// units and holds, for k = bias, 0 ... depth-1, the weights of all ``gates`` of these units side by side, so
// that a tile of registers ends up with everything that the gate functions of its units need.
#pragma once

#include "simd.h"

namespace holdfast::HOLDFAST_ISA {

constexpr int64_t blocks(int64_t hidden, int units) { return (hidden + units * width - 1) / (units * width); }

// panels[block][1 + depth][u * G + g][lane] = at(g * H + unit, k), where unit = (block * units + u) * width +
// lane; k = -1 asks for the bias. Zero past the last unit. Steps of 64 keep the target of the transposition
// in cache.
template <int G, int U, class At>
void pack(int64_t hidden, int64_t depth, float* panels, const At& at) {
  const int64_t row = G * U * width;
  for (int64_t block = 0; block < blocks(hidden, U); ++block, panels += (1 + depth) * row)
    for (int64_t first = -1; first < depth; first += 64)
      for (int lane = 0; lane < row; ++lane) {
        const int64_t unit = (block * U + lane / (G * width)) * width + lane % width;
        const int64_t gate = lane / width % G;
        const int64_t last = first + 64 < depth ? first + 64 : depth;
        for (int64_t k = first; k < last; ++k)
          panels[(k + 1) * row + lane] = unit < hidden ? at(gate * hidden + unit, k) : 0.0f;
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

template <int R, int V>
void tile_of(int64_t rows, const float* a, int64_t stride, const float* panel, int64_t depth,
             vec (*sums)[V]) {
  if (rows == R)
    tile<R, V>(a, stride, panel, depth, sums);
  else if constexpr (R > 1)
    tile_of<R - 1, V>(rows, a, stride, panel, depth, sums);
}

// For each block and row: finish(row, first unit of the block, sums of the V vectors). Rows are dealt evenly
// to tiles.
template <int G, int U, class Finish>
void product(int64_t rows, const float* a, int64_t stride, const float* panels, int64_t depth, int64_t hidden,
             const Finish& finish) {
  constexpr int V = G * U, R = tile_rows<V>;
  const int64_t tiles = (rows + R - 1) / R;
  for (int64_t block = 0; block < blocks(hidden, U); ++block, panels += (1 + depth) * V * width)
    for (int64_t i = 0; i < tiles; ++i) {
      const int64_t first = rows * i / tiles, count = rows * (i + 1) / tiles - first;
      vec sums[R][V];
      tile_of<R, V>(count, a + first * stride, stride, panels, depth, sums);
      for (int64_t r = 0; r < count; ++r) finish(first + r, block * U * width, sums[r]);
    }
}

}  // namespace holdfast::HOLDFAST_ISA
