// One call: order the batch by length, deal it to crews of threads, pack the weights, run.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <numeric>
#include <stdexcept>

#include "arena.h"
#include "recurrent.h"
#include "threads.h"

namespace holdfast {
namespace {

constexpr double worth_a_thread = 1e6;   // multiply-adds: some 20 us, against a few to wake a thread
constexpr double worth_a_meeting = 2e5;  // multiply-adds of a member's share of a step: some 5 us
constexpr int64_t least_units = 16;      // of a member's share
constexpr int64_t least_rows = 4;        // of a crew's share, which reads all the weights
constexpr int64_t near = 640 << 10;      // bytes of weights that stay in a core's own cache

struct Crews {
  int count, size;
};

// Where the weights fit a core's cache each thread takes some of the sequences, and none waits for another.
// Larger weights are read once: a thread takes a share of the units, where it is worth the meetings.
// ``alike``: every sum is that of one thread, whatever their number: shares of units only, and no shares
// where members take rows.
Crews arrange(const Sequence& s, const Kernel& kernel, const Threads& given) {
  const int threads = given.alike && kernel.by_rows(s) ? 1 : given.count;
  const int64_t gates = kernel.gates;
  const int64_t weights = gates * s.hidden * (s.hidden + s.inputs);
  const double step = double(s.batch) * weights;
  const double useful = std::clamp(step * s.steps / worth(worth_a_thread), 1.0, double(std::max(threads, 1)));
  const double rows = std::clamp(double(s.batch / least_rows), 1.0, useful);
  const double units = std::min(step / worth(worth_a_meeting), double(s.hidden / least_units));
  const int size = !is_eager() && weights * int64_t(sizeof(float)) <= near && rows == useful
                       ? 1
                       : int(std::clamp(units, 1.0, useful));
  if (given.alike) return {1, int(std::clamp(units, 1.0, useful))};
  return {int(std::clamp<double>(useful / size, 1, std::max<double>(double(s.batch), 1))), size};
}

// The batch's sequences from the longest to the shortest, dealt in turn: each crew gets its share of steps.
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

constexpr int64_t aligned(int64_t n) { return (n + 31) / 32 * 32; }

// What a call works in, for all of its crews; each crew's states and members' sums start at zero.
struct Room {
  const Sizes sizes;
  const int64_t most, states, chunk, sums, panels;
  const Buffer memory;

  Room(const Sequence& s, const Sizes& sizes, const Crews& crews)
      : sizes(sizes),
        most((s.batch + crews.count - 1) / crews.count),
        states(aligned(most * sizes.states)),
        chunk(aligned((chunk_rows + most) * sizes.row)),  // a crew of fewer rows may take more steps
        sums(aligned(sizes.sums * crews.size)),
        panels(aligned(sizes.input) + aligned(sizes.recurrent) + aligned(sizes.candidate) +
               aligned(sizes.projection)),
        memory(panels + crews.count * (states + chunk + sums)) {}

  Panels packed() const {
    float* input = memory.get();
    float* recurrent = input + aligned(sizes.input);
    float* candidate = recurrent + aligned(sizes.recurrent);
    return {input, recurrent, candidate, candidate + aligned(sizes.candidate)};
  }

  Scratch scratch(int crew) const {
    float* own = memory.get() + panels + crew * (states + chunk + sums);
    return {own, own + states, own + states + chunk};
  }

  void clear(int crew) const {
    std::memset(scratch(crew).states, 0, states * sizeof(float));
    std::memset(scratch(crew).sums, 0, sums * sizeof(float));
  }
};

// pack(member) by all threads, then run(crew, member) by each member of each crew.
template <class Pack, class Run>
void on_threads(const Crews& crews, const Room& room, const Pack& pack, const Run& run) {
  Crew all(crews.count * crews.size);
  std::deque<Crew> each;
  for (int i = 0; i < crews.count; ++i) each.emplace_back(crews.size);
  const auto work = [&](int id) {
    if (id % crews.size == 0) room.clear(id / crews.size);
    pack(Member{&all, id});
    all.meet();
    run(id / crews.size, Member{&each[id / crews.size], id % crews.size});
  };
  if (together(all.size, work)) return;
  Crew alone(1);
  pack(Member{&alone, 0});
  for (int i = 0; i < crews.count; ++i) {
    room.clear(i);
    run(i, Member{&alone, 0});
  }
}

std::atomic<bool> always{false};

}  // namespace

void eager(bool on) { always = on; }
bool is_eager() { return always; }

void run_forward(const std::string& cell, const Sequence& s, const Outputs& out, const Threads& threads) {
  const Kernel& kernel = isa().kernel(cell);
  const Crews crews = arrange(s, kernel, threads);
  const Deal deal(s, crews.count);
  const Room room(s, kernel.sizes(s, false), crews);
  const Panels panels = room.packed();
  const int64_t rows = s.steps * s.batch;
  expect_large(out.y, rows * s.width);
  expect_large(out.saved, rows * kernel.saved * s.hidden);
  expect_large(out.normed, rows * 2 * kernel.gates * s.hidden);
  on_threads(
      crews, room, [&](const Member& member) { kernel.pack(s, panels, member); },
      [&](int crew, const Member& member) {
        kernel.forward(s, out, deal.rows(crew), panels, room.scratch(crew), member);
      });
}

void run_backward(const std::string& cell, const Sequence& s, const Adjoint& g, const Threads& threads) {
  const Kernel& kernel = isa().kernel(cell);
  if (!kernel.backward) throw std::invalid_argument(cell + " runs forward only");
  const Crews crews = arrange(s, kernel, threads);
  const Deal deal(s, crews.count);
  const Sizes sizes = kernel.sizes(s, true);
  const Room room(s, sizes, crews);
  const Panels panels = room.packed();
  expect_large(g.dprojected, s.steps * s.batch * kernel.gates * s.hidden);
  expect_large(g.drecurrent, s.steps * s.batch * (s.norm_ih ? kernel.gates : 1) * s.hidden);
  on_threads(
      crews, room, [&](const Member& member) { kernel.pack_adjoint(s, panels, member); },
      [&](int crew, const Member& member) {
        kernel.backward(s, g, deal.rows(crew), panels, room.scratch(crew), member);
      });
  std::memset(g.dvectors, 0, sizes.vectors * s.hidden * sizeof(float));
  for (int i = 0; i < crews.count * crews.size; ++i) {
    const float* sums = room.scratch(i / crews.size).sums + i % crews.size * sizes.sums;
    for (int64_t v = 0; v < sizes.vectors; ++v)
      for (int64_t unit = 0; unit < s.hidden; ++unit)
        g.dvectors[v * s.hidden + unit] += sums[v * padded(s.hidden) + unit];
  }
}

}  // namespace holdfast
