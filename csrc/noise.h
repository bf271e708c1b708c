// Zoneout: a hash of a unit's position decides whether it keeps its old value at a step. Nothing is stored,
// and the backward pass computes the same. nn/kernels/noise.py computes the same numbers.
#pragma once

#include "recurrent.h"
#include "simd.h"

namespace holdfast::HOLDFAST_ISA {

// Return the kept fraction of the old value, for the units from position ``place`` on. The hash is
// "lowbias32" (C. Wellons, hash-prospector).
HOLDFAST_INLINE vec keep(const Zoneout& zoneout, int64_t place) {
  bits x = (iota() + uint32_t(place)) * 0x9e3779b9u + zoneout.key;
  x = (x ^ (x >> 16)) * 0x21f0aaadu;
  x = (x ^ (x >> 15)) * 0xd35a2d97u;
  x ^= x >> 15;
  return x < bits_of(zoneout.threshold) ? splat(zoneout.kept) : splat(zoneout.other);
}

HOLDFAST_INLINE vec mix(vec kept, vec old, vec fresh) { return kept * old + (1.0f - kept) * fresh; }

}  // namespace holdfast::HOLDFAST_ISA
