// int8 weights: the product of gemm.h with a quarter of the bytes, for the forward pass.
//   weight ~ scale * q, q in -127 ... 127, one scale for each output
//   activation ~ scale * (q - 64), q in 1 ... 127, one scale for each row
// All instruction sets sum 7-bit activations without saturation, and so give the same sums. A panel has the
// bias, the scale and -64 times the sum of q (as integers), then rows in which a lane holds four consecutive
// k of its output.
#pragma once

#include "arena.h"
#include "gemm.h"

namespace holdfast::HOLDFAST_ISA {

#if defined(__GNUC__)
typedef int32_t ints __attribute__((vector_size(width * sizeof(int32_t))));
HOLDFAST_INLINE vec to_float(ints x) { return __builtin_convertvector(x, vec); }
#else
using ints = int32_t;
HOLDFAST_INLINE vec to_float(ints x) { return vec(x); }
#endif

constexpr int activation_zero = 64, activation_most = 63, weight_most = 127;

// Return sum + the four products of bytes in each lane. The bytes of a are unsigned, those of b signed.
HOLDFAST_INLINE ints dot(ints sum, ints a, ints b) {
#if defined(__AVX512VNNI__)
  return ints(_mm512_dpbusd_epi32(__m512i(sum), __m512i(a), __m512i(b)));
#elif defined(__AVX512BW__)
  return sum + ints(_mm512_madd_epi16(_mm512_maddubs_epi16(__m512i(a), __m512i(b)), _mm512_set1_epi16(1)));
#elif defined(__AVX2__)
  return sum + ints(_mm256_madd_epi16(_mm256_maddubs_epi16(__m256i(a), __m256i(b)), _mm256_set1_epi16(1)));
#else
  for (int byte = 0; byte < 32; byte += 8)
    sum += (reinterpret<ints>(reinterpret<bits>(a) << bits_of(byte)) >> 24 & 255) *
           (reinterpret<ints>(reinterpret<bits>(b) << bits_of(byte)) >> 24);
  return sum;
#endif
}

HOLDFAST_INLINE ints splat_bytes(const uint8_t* four) {
  uint32_t together;
  memcpy(&together, four, sizeof together);
  return reinterpret<ints>(bits_of(together));
}

constexpr int64_t fours(int64_t depth) { return (depth + 3) / 4; }

// Rows of bytes, each after its scale.
struct Quantised {
  int64_t rows;
  const float* a;
  int64_t stride, depth;  // in floats; in bytes

  int64_t panel_rows() const { return 3 + fours(depth); }

  template <int R, int W, int V>
  HOLDFAST_INLINE void sum(int64_t first, const float* panel, const float*, vec* sums) const {
    constexpr int S = strip<V>, line = S * width;
    const int64_t apart = panel_rows() * line;
    const float* row = a + first * stride;
    vec bias[W], scale[W], b[W];
    ints sum[R][W];
    load_row<W, S>(panel + 2 * line, apart, b);
    HOLDFAST_UNROLL
    for (int r = 0; r < R; ++r) HOLDFAST_UNROLL
    for (int v = 0; v < W; ++v) sum[r][v] = reinterpret<ints>(b[v]);
    const float* weights = panel + 3 * line;
    for (int64_t k = 0; k < fours(depth); ++k, weights += line) {
      load_row<W, S>(weights, apart, b);
      HOLDFAST_UNROLL
      for (int r = 0; r < R; ++r) {
        const ints four = splat_bytes(reinterpret_cast<const uint8_t*>(row + r * stride + 1 + k));
        HOLDFAST_UNROLL
        for (int v = 0; v < W; ++v) sum[r][v] = dot(sum[r][v], four, reinterpret<ints>(b[v]));
      }
    }
    load_row<W, S>(panel, apart, bias);
    load_row<W, S>(panel + line, apart, scale);
    HOLDFAST_UNROLL
    for (int r = 0; r < R; ++r) HOLDFAST_UNROLL
    for (int v = 0; v < W; ++v)
      sums[r * V + v] = bias[v] + to_float(sum[r][v]) * (splat(row[r * stride]) * scale[v]);
  }
};

// Return the largest absolute value of n values, or NaN if one of them is not finite.
inline float largest(const float* values, int64_t n) {
  vec most = {}, finite = {};
  for (int64_t i = 0; i < n; i += width) {
    const vec value = load(values + i, n - i), size = value < 0.0f ? -value : value;
    most = size > most ? size : most;
    finite += value * 0.0f;
  }
  float lanes[width], result = total(finite);
  store(lanes, most);
  for (float lane : lanes) result = lane > result ? lane : result;
  return result;
}

// Set to[k] = round(values[k] factor) + zero for the k of one block. Past n the values are zero.
constexpr int64_t block_bytes = 64;
inline void round_block(const float* values, int64_t n, float factor, int zero, uint8_t* to) {
  float scaled[block_bytes] = {};
  for (int64_t k = 0; k < n && k < block_bytes; ++k) scaled[k] = values[k] * factor;
  for (int64_t k = 0; k < block_bytes; ++k)  // positive, since conversion to int truncates
    to[k] = uint8_t(int32_t(scaled[k] + 128.5f) - 128 + zero);
}

// The divisor of some values and its inverse. The inverse is 0 if all values are zero or one is not finite;
// the scale is then 0 or NaN.
struct Scale {
  float scale, factor;
  Scale(const float* values, int64_t n, int most)
      : scale(largest(values, n) / float(most)), factor(scale > 0 ? 1.0f / scale : 0.0f) {}
};

// Write [scale][bytes], up to the end of the row's space.
inline void quantise(const float* values, int64_t depth, float* to, int64_t space) {
  const Scale own(values, depth, activation_most);
  to[0] = own.scale;
  uint8_t bytes[block_bytes];
  for (int64_t k = 0; k < depth; k += block_bytes) {
    round_block(values + k, own.factor > 0 ? depth - k : 0, own.factor, activation_zero, bytes);
    const int64_t left = 4 * (space - 1) - k;
    memcpy(to + 1 + k / 4, bytes, left < block_bytes ? left : block_bytes);
  }
}

struct Int8 {
  static constexpr const char* suffix = "_int8";

  Int8(int64_t rows, int64_t depth) : stride((1 + fours(depth) + 15) / 16 * 16), memory(rows * stride) {}

  template <int G, int U>
  static constexpr int64_t size(int64_t hidden, int64_t depth) {
    return blocks(hidden, U) * (3 + fours(depth)) * G * U * width;
  }

  template <int G, int U>
  static void pack(const Matrix& m, float* panels, const Worker& worker) {
    constexpr int64_t row = strip<G * U> * width;
    each_output<G, U>(m, 3 + fours(m.depth), panels, worker, [&](float* to, int64_t output, bool present) {
      pack_output(m, output, present, to, row);
    });
  }

  // Each worker quantises its own copy: that costs less than to wait for another worker.
  Quantised left(const Operand& operand) const {
    for (int64_t r = 0; r < operand.rows; ++r)
      quantise(operand.a + r * operand.stride, operand.depth, memory.get() + r * stride, stride);
    return {operand.rows, memory.get(), stride, operand.depth};
  }

 private:
  const int64_t stride;
  const Buffer memory;

  // An output's weights are contiguous, as in all weight matrices of a forward pass.
  static void pack_output(const Matrix& m, int64_t output, bool present, float* to, int64_t row) {
    const float* weights = m.weights + output * m.apart;
    const int64_t depth = present ? m.depth : 0;
    const Scale own(weights, depth, weight_most);
    int32_t sum = 0;
    for (int64_t k = 0; k < m.depth; k += block_bytes) {
      uint8_t bytes[block_bytes];
      round_block(weights + k, own.factor > 0 ? depth - k : 0, own.factor, 0, bytes);
      for (int64_t i = 0; i < block_bytes; ++i) sum += int8_t(bytes[i]);
      for (int64_t i = 0; i < block_bytes && k + i < m.depth; i += 4)
        memcpy(to + (3 + (k + i) / 4) * row, bytes + i, 4);
    }
    sum *= -activation_zero;
    to[0] = present && m.bias ? m.bias[output] : 0.0f;
    to[row] = own.scale;
    memcpy(to + 2 * row, &sum, sizeof sum);
  }
};

}  // namespace holdfast::HOLDFAST_ISA
