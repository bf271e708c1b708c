// Threads that work on the same sequences and meet between the phases of a step.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace holdfast {

struct Share {
  int64_t first, last;
};

class Crew {
 public:
  explicit Crew(int size) : size(size) {}
  const int size;

  // Returns when all have come. Waiting starts with a short spin and then gives up the core: another process
  // may hold the one that the last thread needs.
  void meet() {
    if (size == 1) return;
    const int before = phase.load(std::memory_order_relaxed);
    if (arrived.fetch_add(1, std::memory_order_acq_rel) == size - 1) {
      arrived.store(0, std::memory_order_relaxed);
      phase.store(before + 1, std::memory_order_release);
      return;
    }
    for (int turns = 0; phase.load(std::memory_order_acquire) == before; ++turns)
      if (turns > 4000)
        std::this_thread::yield();
      else
        pause();
  }

 private:
  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  alignas(64) std::atomic<int> arrived{0};
  alignas(64) std::atomic<int> phase{0};
};

struct Member {
  Crew* crew;
  int id;

  Share share(int64_t n) const { return {n * id / crew->size, n * (id + 1) / crew->size}; }
  void meet() const { crew->meet(); }
};

}  // namespace holdfast
