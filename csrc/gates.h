// The gate functions, accurate to about 1e-7. NaN stays NaN; infinities saturate.
#pragma once

#include "simd.h"

namespace holdfast::HOLDFAST_ISA {

// exp(x) = 2^n exp(f), n = round(x / ln 2), |f| <= ln 2 / 2; exp(f) by the polynomial of Cephes' expf.
// Inf from 88.4 on; exp(-87) below -87.
HOLDFAST_INLINE vec exponential(vec x) {
  x = at_most(at_least(x, -87.0f), 89.0f);
  const float round = 12582912.0f;  // 1.5 * 2^23: adding it leaves the integer in the low bits
  const vec shifted = x * 1.44269504088896341f + round;
  const vec n = shifted - round;
  const vec f = x - n * 0.693359375f + n * 2.12194440e-4f;
  vec p = f * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  p = p * (f * f) + (f + 1.0f);
  const bits power = (reinterpret<bits>(shifted) << 23) + 0x3f800000u;
  return p * reinterpret<vec>(power);
}

HOLDFAST_INLINE vec sigmoid(vec x) { return 1.0f / (1.0f + exponential(-x)); }

// Rational approximation (Eigen's ptanh): odd polynomial of degree 13 over even polynomial of degree 6.
HOLDFAST_INLINE vec hyperbolic_tangent(vec x) {
  x = at_most(at_least(x, -7.99881172180175781f), 7.99881172180175781f);
  const vec s = x * x;
  vec p = s * -2.76076847742355e-16f + 2.00018790482477e-13f;
  p = p * s + -8.60467152213735e-11f;
  p = p * s + 5.12229709037114e-08f;
  p = p * s + 1.48572235717979e-05f;
  p = p * s + 6.37261928875436e-04f;
  p = p * s + 4.89352455891786e-03f;
  vec q = s * 1.19825839466702e-06f + 1.18534705686654e-04f;
  q = q * s + 2.26843463243900e-03f;
  q = q * s + 4.89352518554385e-03f;
  return (x * p) / q;
}

}  // namespace holdfast::HOLDFAST_ISA
