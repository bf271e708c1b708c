// The barrier: compiled once, without the flags of an instruction set.
#include "team.h"

#include <chrono>
#ifdef _M_X64
#include <intrin.h>
#endif

namespace holdfast {
namespace {

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#elif defined(_M_X64)
  _mm_pause();
#endif
}

}  // namespace

void Team::wait_for_others() {
  const int before = phase.load(std::memory_order_relaxed);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) == size - 1) {
    arrived.store(0, std::memory_order_relaxed);
    phase.store(before + 1, std::memory_order_release);
    phase.notify_all();
  } else if (!spin(before)) {
    phase.wait(before, std::memory_order_acquire);
  }
}

// Return whether the phase ended within the spin time.
bool Team::spin(int before) const {
  using Clock = std::chrono::steady_clock;
  constexpr int looks = 64;  // between two readings of the clock
  Clock::time_point end{};
  do {
    for (int look = 0; look < looks; ++look) {
      if (phase.load(std::memory_order_acquire) != before) return true;
      pause();
    }
    if (end == Clock::time_point{}) end = Clock::now() + std::chrono::microseconds(spin_microseconds);
  } while (Clock::now() < end);
  return false;
}

}  // namespace holdfast
