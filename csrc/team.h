// Threads that work on the same sequences and wait for each other between the phases of a step.
#pragma once

#include <atomic>
#include <cstdint>

namespace holdfast {

// A worker that waits spins this long, then sleeps. On an idle machine the workers of a phase finish within
// some microseconds of each other, and to wake a sleeping thread takes tens of them. On a busy machine the
// last worker may need the very core on which this one spins.
constexpr int spin_microseconds = 50;

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
    if (size > 1) wait_for_others();
  }

 private:
  void wait_for_others();
  bool spin(int before) const;

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
