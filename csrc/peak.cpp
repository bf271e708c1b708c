// The peak rate of one thread's multiply-adds: in registers, without memory.
#include "recurrent.h"
#include "simd.h"

namespace holdfast::HOLDFAST_ISA {

// Run some rounds of independent multiply-adds, enough to hide their latency. Return the number of flop.
double peak(int64_t rounds) {
  constexpr int chains = 12;
  volatile float one = 0.999f,
                 other = 0.001f;  // read at run time, so that the compiler cannot compute the result
  const vec a = splat(one), b = splat(other);
  vec sum[chains];
  for (int k = 0; k < chains; ++k) sum[k] = splat(other * k);
  for (int64_t round = 0; round < rounds; ++round) {
    HOLDFAST_UNROLL
    for (int k = 0; k < chains; ++k) sum[k] = sum[k] * a + b;
  }
  vec total = {};
  for (const vec& part : sum) total += part;
  float lanes[width];
  store(lanes, total);
  one = lanes[0];
  return 2.0 * rounds * chains * width;
}

}  // namespace holdfast::HOLDFAST_ISA
