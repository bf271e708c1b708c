// One call: pack the weights, order the batch by length, deal it to threads.
#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>

#include "recurrent.h"
#include "threads.h"

namespace holdfast {
namespace {

constexpr std::align_val_t cache_line{64};
constexpr double worth_a_thread = 2e7;  // multiply-adds: about a millisecond, against 20 us to start a thread
constexpr int64_t worth_rows = 4;       // fewer sequences than this read the weights too often

struct Free {
  void operator()(float* p) const { ::operator delete(p, cache_line); }
};
using Buffer = std::unique_ptr<float, Free>;

Buffer floats(int64_t n) {
  return Buffer(static_cast<float*>(::operator new(n * sizeof(float), cache_line)));
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

// run(rows, scratch) on each thread, with zeroed scratch of ``width`` floats for each of its sequences.
template <class Run>
void deal(const Sequence& s, int64_t gates, int threads, int64_t width, const Run& run) {
  const int hands = thread_count(s, gates, threads);
  const Deal dealt(s, hands);
  const int64_t most = (s.batch + hands - 1) / hands * width;
  const Buffer scratch = floats(hands * most);
  parallel(hands, [&](int hand) {
    float* own = scratch.get() + hand * most;
    std::memset(own, 0, most * sizeof(float));
    run(dealt.rows(hand), own);
  });
}

}  // namespace

void run_forward(const std::string& cell, const Sequence& s, const Outputs& out, int threads) {
  const Kernel& kernel = isa().kernel(cell);
  const Buffer panels = floats((1 + s.hidden) * kernel.gates * padded(s.hidden));
  kernel.pack(s, panels.get());
  deal(s, kernel.gates, threads, 3 * row_stride(s.hidden),
       [&](const Rows& rows, float* scratch) { kernel.forward(s, out, rows, panels.get(), scratch); });
}

void run_backward(const std::string& cell, const Sequence& s, const Adjoint& g, int threads) {
  const Kernel& kernel = isa().kernel(cell);
  const Buffer panels = floats((1 + kernel.gates * s.hidden) * padded(s.hidden));
  kernel.pack_adjoint(s, panels.get());
  deal(s, kernel.gates, threads, 2 * row_stride(s.hidden) + row_stride(kernel.gates * s.hidden),
       [&](const Rows& rows, float* scratch) { kernel.backward(s, g, rows, panels.get(), scratch); });
}

}  // namespace holdfast
