// One call: pack the weights, order the batch by length, deal it to threads.
#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>

#include "recurrent.h"
#include "threads.h"
#ifdef __linux__
#include <sys/mman.h>
#endif

namespace holdfast {
namespace {

constexpr std::align_val_t cache_line{64};
constexpr double worth_a_thread = 4e6;  // multiply-adds: some 100 us, against a few to wake a thread
constexpr int64_t worth_rows = 4;       // fewer sequences than this read the weights too often

struct Free {
  void operator()(float* p) const { ::operator delete(p, cache_line); }
};
using Buffer = std::unique_ptr<float, Free>;

Buffer floats(int64_t n) {
  return Buffer(static_cast<float*>(::operator new(n * sizeof(float), cache_line)));
}

// A fresh array of many megabytes costs more in page faults than the work on it: ask for large pages.
void expect([[maybe_unused]] float* array, [[maybe_unused]] int64_t n) {
#ifdef __linux__
  constexpr uintptr_t page = 1 << 21;
  const uintptr_t first = (reinterpret_cast<uintptr_t>(array) + page - 1) / page * page;
  const uintptr_t last = reinterpret_cast<uintptr_t>(array + n) / page * page;
  if (array && first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

int thread_count(const Sequence& s, int64_t gates, int threads) {
  const double work = double(s.steps) * s.batch * gates * s.hidden * s.hidden;
  const int64_t useful = std::min<int64_t>(int64_t(work / worth_a_thread), s.batch / worth_rows);
  return int(std::clamp<int64_t>(useful, 1, std::max(threads, 1)));
}

// The batch's sequences from the longest to the shortest, dealt in turn: each thread gets its share of steps.
struct Deal {
  std::vector<std::vector<int64_t>> order, lengths;

  Deal(const Sequence& s, int hands) : order(hands), lengths(hands) {
    const auto length = [&](int64_t b) {
      return s.lengths ? std::clamp<int64_t>(s.lengths[b], 0, s.steps) : s.steps;
    };
    std::vector<int64_t> sorted(s.batch);
    std::iota(sorted.begin(), sorted.end(), 0);
    if (s.lengths)
      std::stable_sort(sorted.begin(), sorted.end(), [&](auto a, auto b) { return length(a) > length(b); });
    for (int64_t i = 0; i < s.batch; ++i) {
      order[i % hands].push_back(sorted[i]);
      lengths[i % hands].push_back(length(sorted[i]));
    }
  }

  Rows rows(int hand) const {
    return {int64_t(order[hand].size()), order[hand].data(), lengths[hand].data()};
  }
};

// run(rows, states, chunk) on each thread: ``state`` floats for each of its sequences, which start at zero,
// and ``row`` floats for each row of a chunk of steps.
template <class Run>
void deal(const Sequence& s, int64_t gates, int threads, int64_t state, int64_t row, const Run& run) {
  const int hands = thread_count(s, gates, threads);
  const Deal dealt(s, hands);
  const int64_t most = (s.batch + hands - 1) / hands;
  const int64_t states = most * state, chunk = chunk_steps(most) * most * row;
  const Buffer scratch = floats(hands * (states + chunk));
  parallel(hands, [&](int hand) {
    float* own = scratch.get() + hand * (states + chunk);
    std::memset(own, 0, states * sizeof(float));
    run(dealt.rows(hand), own, own + states);
  });
}

}  // namespace

void run_forward(const std::string& cell, const Sequence& s, const Outputs& out, int threads) {
  const Kernel& kernel = isa().kernel(cell);
  const int64_t gates = kernel.gates * padded(s.hidden), row = row_stride(s.inputs) + gates;
  const Buffer memory = floats((2 + s.inputs + s.hidden) * gates);
  const Panels panels{memory.get(), memory.get() + (1 + s.inputs) * gates};
  kernel.pack(s, panels);
  expect(out.y, s.steps * s.batch * s.hidden);
  expect(out.saved, s.steps * s.batch * kernel.saved * s.hidden);
  deal(s, kernel.gates, threads, 3 * row_stride(s.hidden), row,
       [&](const Rows& rows, float* states, float* chunk) {
         kernel.forward(s, out, rows, panels, states, chunk);
       });
}

void run_backward(const std::string& cell, const Sequence& s, const Adjoint& g, int threads) {
  const Kernel& kernel = isa().kernel(cell);
  const Buffer panels = floats((1 + kernel.gates * s.hidden) * padded(s.hidden));
  kernel.pack_adjoint(s, panels.get());
  expect(g.dprojected, s.steps * s.batch * kernel.gates * s.hidden);
  expect(g.dcandidate, s.steps * s.batch * s.hidden);
  deal(s, kernel.gates, threads, 2 * row_stride(s.hidden) + row_stride(kernel.gates * s.hidden), 0,
       [&](const Rows& rows, float* states, float*) { kernel.backward(s, g, rows, panels.get(), states); });
}

}  // namespace holdfast
