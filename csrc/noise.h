// Zoneout: which units keep their old value at a step, by a hash of their place, so that nothing is stored
// and the backward pass finds the same (kernels/noise.py computes the same numbers).
#pragma once

#include "recurrent.h"
#include "simd.h"

namespace holdfast::HOLDFAST_ISA {

// The share of the old value of the units at ``place`` and after it. The mixer's constants are "lowbias32"
// (C. Wellons, hash-prospector).
HOLDFAST_INLINE vec keep(const Zoneout& zoneout, int64_t place) {
  bits x = (iota() + uint32_t(place)) * 0x9e3779b9u + zoneout.key;
  x = (x ^ (x >> 16)) * 0x21f0aaadu;
  x = (x ^ (x >> 15)) * 0xd35a2d97u;
  x ^= x >> 15;
  return x < bits_of(zoneout.threshold) ? splat(zoneout.kept) : splat(zoneout.other);
}

HOLDFAST_INLINE vec mix(vec kept, vec old, vec fresh) { return kept * old + (1.0f - kept) * fresh; }

}  // namespace holdfast::HOLDFAST_ISA
