// The vector type of one instruction set. Every source that includes this file is compiled once per set, into
// the namespace holdfast::<HOLDFAST_ISA>, with that set's compiler flags. Such sources use no templates of
// the standard library: the linker could share their code between the sets.
#pragma once

#include <math.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>

#ifndef HOLDFAST_ISA
#define HOLDFAST_ISA baseline
#endif

#if defined(__GNUC__)
#define HOLDFAST_INLINE inline __attribute__((always_inline))
#define HOLDFAST_UNROLL _Pragma("GCC unroll 16")
#else
#define HOLDFAST_INLINE inline
#define HOLDFAST_UNROLL
#endif

namespace holdfast::HOLDFAST_ISA {

#if defined(__AVX512F__)
constexpr int width = 16, registers = 32;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int width = 8, registers = 16;
#elif defined(__aarch64__)
constexpr int width = 4, registers = 32;
#elif defined(__GNUC__)
constexpr int width = 4, registers = 16;
#else
constexpr int width = 1, registers = 16;
#endif

#if defined(__GNUC__)
typedef float vec __attribute__((vector_size(width * sizeof(float))));
typedef uint32_t bits __attribute__((vector_size(width * sizeof(uint32_t))));
#else
using vec = float;
using bits = uint32_t;
#endif

HOLDFAST_INLINE vec splat(float value) { return value - vec{}; }

HOLDFAST_INLINE vec load(const float* from) {
  vec value;
  memcpy(&value, from, sizeof value);
  return value;
}

HOLDFAST_INLINE void store(float* to, vec value) { memcpy(to, &value, sizeof value); }

HOLDFAST_INLINE void prefetch(const float* from) {
#if defined(__GNUC__)
  __builtin_prefetch(from);
#endif
}

// Load the first n lanes; the others are zero. If n is 0 or less, nothing is read.
HOLDFAST_INLINE vec load(const float* from, int64_t n) {
  if (n >= width) return load(from);
  vec value = {};
  if (n > 0) memcpy(&value, from, n * sizeof(float));
  return value;
}

HOLDFAST_INLINE void store(float* to, vec value, int64_t n) {
  if (n >= width)
    store(to, value);
  else if (n > 0)
    memcpy(to, &value, n * sizeof(float));
}

template <class To, class From>
HOLDFAST_INLINE To reinterpret(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

HOLDFAST_INLINE vec cut(vec x, int64_t n) {  // zero in the lanes from n on
  if (n >= width) return x;
  vec value = {};
  if (n > 0) memcpy(&value, &x, n * sizeof(float));
  return value;
}

HOLDFAST_INLINE bits iota() {  // 0, 1, 2, ...
  uint32_t lanes[width];
  for (int i = 0; i < width; ++i) lanes[i] = uint32_t(i);
  bits value;
  memcpy(&value, lanes, sizeof value);
  return value;
}

// The sum of all lanes.
HOLDFAST_INLINE float total(vec x) {
#if defined(__GNUC__) && !defined(__clang__)
  HOLDFAST_UNROLL
  for (uint32_t half = width / 2; half > 0; half /= 2) x += __builtin_shuffle(x, iota() ^ half);
  return x[0];
#else
  float lanes[width], sum = 0.0f;
  memcpy(lanes, &x, sizeof x);
  for (float lane : lanes) sum += lane;
  return sum;
#endif
}

HOLDFAST_INLINE float square_root(float x) {
#if defined(__GNUC__)
  return __builtin_sqrtf(x);
#else
  return sqrtf(x);
#endif
}

HOLDFAST_INLINE bits bits_of(uint32_t value) { return value - bits{}; }

// Both keep NaN: a comparison with it is false, and AVX's instruction returns its second operand.
HOLDFAST_INLINE vec at_least(vec x, float low) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  return _mm256_max_ps(splat(low), x);
#else
  return x < splat(low) ? splat(low) : x;
#endif
}

HOLDFAST_INLINE vec at_most(vec x, float high) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  return _mm256_min_ps(splat(high), x);
#else
  return x > splat(high) ? splat(high) : x;
#endif
}

}  // namespace holdfast::HOLDFAST_ISA
