#include "arena.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <new>
#include <vector>
#ifdef __linux__
#include <pthread.h>
#include <sys/mman.h>
#endif

namespace holdfast {
namespace {

constexpr std::align_val_t page{4096};
constexpr size_t most_kept = 8;

struct Piece {
  float* memory;
  int64_t size;
};

// The unused pieces. Lives as long as the process: a thread may return its scratch at any time.
struct Arena {
  std::mutex guard;
  std::vector<Piece> pieces;
};

Arena& arena() {
  static Arena& only = *new Arena;
  return only;
}

#ifdef __linux__  // a process forked while another thread holds the lock would wait for it forever
const int fork_handler = pthread_atfork([] { arena().guard.lock(); }, [] { arena().guard.unlock(); },
                                        [] { arena().guard.unlock(); });
#endif

std::atomic<bool> poisoned{false};

// Take the smallest piece that holds n floats and is not much larger. Null if there is none.
Piece reuse(int64_t n) {
  Arena& a = arena();
  const std::lock_guard lock(a.guard);
  auto best = a.pieces.end();
  for (auto piece = a.pieces.begin(); piece != a.pieces.end(); ++piece)
    if (piece->size >= n && piece->size <= 2 * n + 16384 &&
        (best == a.pieces.end() || piece->size < best->size))
      best = piece;
  if (best == a.pieces.end()) return {nullptr, 0};
  const Piece found = *best;
  a.pieces.erase(best);
  return found;
}

void release(float* memory) { ::operator delete(memory, page); }

}  // namespace

void advise_huge_pages([[maybe_unused]] float* array, [[maybe_unused]] int64_t n) {
#ifdef __linux__
  constexpr uintptr_t large = 1 << 21;
  const uintptr_t first = (reinterpret_cast<uintptr_t>(array) + large - 1) / large * large;
  const uintptr_t last = reinterpret_cast<uintptr_t>(array + n) / large * large;
  if (array && first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

void poison(bool on) { poisoned = on; }

Buffer::Buffer(int64_t floats) {
  const Piece found = reuse(floats);
  memory = found.memory, size = found.size;
  if (!memory) {
    size = floats;
    memory = static_cast<float*>(::operator new(size_t(std::max<int64_t>(size, 1)) * sizeof(float), page));
    advise_huge_pages(memory, size);
  }
  if (poisoned) std::fill(memory, memory + size, std::numeric_limits<float>::quiet_NaN());
}

Buffer::~Buffer() {
  Arena& a = arena();
  const std::lock_guard lock(a.guard);
  a.pieces.push_back({memory, size});
  if (a.pieces.size() <= most_kept) return;
  release(a.pieces.front().memory);  // the least recently used one
  a.pieces.erase(a.pieces.begin());
}

}  // namespace holdfast
