// Threads that work on the same sequences and wait for each other between the phases of a step.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#ifdef _M_X64
#include <intrin.h>
#endif

namespace holdfast {

// A worker that waits spins this long, then sleeps. A phase's workers finish within some microseconds of each
// other on an idle machine, and to wake a sleeping thread takes tens of them. On a busy machine the last
// worker may have to get back the core on which this one spins.
constexpr std::chrono::microseconds spin_time{50};

struct Range {
  int64_t first, last;
};

// A team's size and its barrier.
class Team {
 public:
  explicit Team(int size) : size(size) {}
  const int size;

  // Return when all workers have called it.
  void wait() {
    if (size == 1) return;
    const int before = phase.load(std::memory_order_relaxed);
    if (arrived.fetch_add(1, std::memory_order_acq_rel) == size - 1) {
      arrived.store(0, std::memory_order_relaxed);
      phase.store(before + 1, std::memory_order_release);
      phase.notify_all();
    } else if (!spin(before)) {
      phase.wait(before, std::memory_order_acquire);
    }
  }

 private:
  // Whether the phase ended within the spin time.
  bool spin(int before) const {
    using Clock = std::chrono::steady_clock;
    constexpr int looks = 64;  // between two readings of the clock
    Clock::time_point end{};
    do {
      for (int look = 0; look < looks; ++look) {
        if (phase.load(std::memory_order_acquire) != before) return true;
        pause();
      }
      if (end == Clock::time_point{}) end = Clock::now() + spin_time;
    } while (Clock::now() < end);
    return false;
  }

  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#elif defined(_M_X64)
    _mm_pause();
#endif
  }

  alignas(64) std::atomic<int> arrived{0};
  alignas(64) std::atomic<int> phase{0};
};

struct Worker {
  Team* team;
  int id;

  // This worker's part of n items.
  Range share(int64_t n) const { return {n * id / team->size, n * (id + 1) / team->size}; }
  void wait() const { team->wait(); }
};

}  // namespace holdfast
