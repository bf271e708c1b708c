// The gate functions, accurate to about 1e-7. NaN stays NaN; infinities saturate at exactly 0, 1 and -1.
#pragma once

#include "simd.h"

namespace holdfast::HOLDFAST_ISA {

// exp(x) = power * (1 + rest)
struct Exponential {
  vec power, rest;
};

// power = 2^n with n = round(x / ln 2); rest = exp(f) - 1 with |f| <= ln 2 / 2, by the polynomial of Cephes'
// expf. For x from -87 to 89; the power is infinite from 88.4 on.
HOLDFAST_INLINE Exponential exponential(vec x) {
  const float round = 12582912.0f;  // 1.5 * 2^23: adding it leaves the integer in the low bits
  const vec shifted = x * 1.44269504088896341f + round;
  const vec n = shifted - round;
  const vec f = x - n * 0.693359375f + n * 2.12194440e-4f;
  vec p = f * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  const bits power = (reinterpret<bits>(shifted) << 23) + 0x3f800000u;
  return {reinterpret<vec>(power), p * (f * f) + f};
}

// 1 / (1 + exp(-x))
HOLDFAST_INLINE vec sigmoid(vec x) {
  const Exponential e = exponential(at_most(at_least(-x, -87.0f), 89.0f));
  return 1.0f / (1.0f + e.power * (1.0f + e.rest));
}

// (exp(2x) - 1) / (exp(2x) + 1), from exp(2x) - 1 so that small x keep their accuracy
HOLDFAST_INLINE vec hyperbolic_tangent(vec x) {
  const Exponential e = exponential(at_most(at_least(2.0f * x, -40.0f), 40.0f));
  const vec minus_one = e.power * e.rest + (e.power - 1.0f);
  return minus_one / (minus_one + 2.0f);
}

}  // namespace holdfast::HOLDFAST_ISA
