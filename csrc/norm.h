// Layer normalisation of one gate of one sequence: n units, in a row of whole vectors that is zero past n.
#pragma once

#include "simd.h"

namespace holdfast::HOLDFAST_ISA {

constexpr float norm_epsilon = 1e-5f;

// Compute (x - mean) / sigma in place, and return 1 / sigma.
inline float standardise(float* row, int64_t n) {
  vec sum = {}, squares = {};
  for (int64_t i = 0; i < n; i += width) sum += load(row + i, n - i);
  const float mean = total(sum) / n;
  for (int64_t i = 0; i < n; i += width) {
    const vec off = cut(load(row + i) - mean, n - i);
    squares += off * off;
  }
  const float inverse = 1.0f / square_root(total(squares) / n + norm_epsilon);
  for (int64_t i = 0; i < n; i += width) store(row + i, cut((load(row + i) - mean) * inverse, n - i));
  return inverse;
}

// Convert the gradient of the normalised values into that of the values, in place.
inline void standardise_gradient(float* d, const float* normed, float inverse, int64_t n) {
  vec sum = {}, product = {};
  for (int64_t i = 0; i < n; i += width) {
    const vec value = load(d + i, n - i);
    sum += value;
    product += value * load(normed + i, n - i);
  }
  const float mean = total(sum) / n, slope = total(product) / n;
  for (int64_t i = 0; i < n; i += width) {
    const vec value = (load(d + i, n - i) - mean - load(normed + i, n - i) * slope) * inverse;
    store(d + i, cut(value, n - i));
  }
}

}  // namespace holdfast::HOLDFAST_ISA
