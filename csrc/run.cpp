// One call: sort the batch by length, divide it among teams of workers, pack the weights, run.
//
// The number of teams, their rows and the workers whose sums are kept apart follow from torch's number of
// threads alone, since sums depend on them. How many threads then do that work may differ from call to call.
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

constexpr double work_of_a_thread = 1e6;  // multiply-adds: about 20 us; to wake a thread takes a few
constexpr double work_of_a_wait = 2e5;    // multiply-adds of a worker in one step: about 5 us
constexpr int64_t least_units = 16;       // of a worker
constexpr int64_t least_rows = 4;         // of a team, which reads all weights
constexpr int64_t cache = 640 << 10;      // bytes of weights that stay in a core's own cache

struct Teams {
  int count, size;
};

// Weights that fit a core's cache: each thread takes some of the sequences, and no thread waits for another.
// Larger weights are read once: each worker takes a share of the hidden units if that is worth the waits.
// ``deterministic``: every sum is that of one thread, whatever their number. Workers then share units only,
// and nothing where workers take rows.
Teams arrange(const Sequence& s, const Kernel& kernel, const Threads& given) {
  const int threads = given.deterministic && kernel.by_rows(s) ? 1 : given.count;
  const int64_t gates = kernel.gates;
  const int64_t weights = gates * s.hidden * (s.hidden + s.inputs);
  const double step = double(s.batch) * weights;
  const double useful =
      std::clamp(step * s.steps / unless_eager(work_of_a_thread), 1.0, double(std::max(threads, 1)));
  const double rows = std::clamp(double(s.batch / least_rows), 1.0, useful);
  const double units = std::min(step / unless_eager(work_of_a_wait), double(s.hidden / least_units));
  const int size = !is_eager() && weights * int64_t(sizeof(float)) <= cache && rows == useful
                       ? 1
                       : int(std::clamp(units, 1.0, useful));
  if (given.deterministic) return {1, int(std::clamp(units, 1.0, useful))};
  return {int(std::clamp<double>(useful / size, 1, std::max<double>(double(s.batch), 1))), size};
}

// How many groups of threads run the teams, one team after the other, and the threads of each group.
// Workers of a team that take hidden units may become fewer: each unit's sums stay the same. ``fixed``:
// workers that take rows may not, where their sums are kept apart.
Teams fit(const Teams& teams, int available, bool fixed) {
  const int most = std::max(available, 1);
  const int size = fixed ? teams.size : std::clamp(most / teams.count, 1, teams.size);
  return {std::clamp(most / size, 1, teams.count), size};
}

// The batch's sequences from the longest to the shortest, dealt to the teams in turn: all get similar numbers
// of steps.
struct Assignment {
  std::vector<std::vector<int64_t>> order, lengths;

  Assignment(const Sequence& s, int teams) : order(teams), lengths(teams) {
    const auto length = [&](int64_t b) {
      return s.lengths ? std::clamp<int64_t>(s.lengths[b], 0, s.steps) : s.steps;
    };
    std::vector<int64_t> sorted(s.batch);
    std::iota(sorted.begin(), sorted.end(), 0);
    if (s.lengths)
      std::stable_sort(sorted.begin(), sorted.end(), [&](auto a, auto b) { return length(a) > length(b); });
    for (int64_t i = 0; i < s.batch; ++i) {
      order[i % teams].push_back(sorted[i]);
      lengths[i % teams].push_back(length(sorted[i]));
    }
  }

  Rows rows(int team) const {
    return {int64_t(order[team].size()), order[team].data(), lengths[team].data()};
  }
};

constexpr int64_t aligned(int64_t n) { return (n + 31) / 32 * 32; }

// The buffers of a call, for all of its teams. Each team's states and its workers' sums start at zero.
struct Buffers {
  const Sizes sizes;
  const int64_t most, states, chunk, sums, packed_size;
  const Buffer memory;

  Buffers(const Sequence& s, const Sizes& sizes, const Teams& teams)
      : sizes(sizes),
        most((s.batch + teams.count - 1) / teams.count),
        states(aligned(most * sizes.states)),
        chunk(aligned((chunk_rows + most) * sizes.row)),  // a team with fewer rows may take more steps
        sums(aligned(sizes.sums * teams.size)),
        packed_size(aligned(sizes.input) + aligned(sizes.recurrent) + aligned(sizes.candidate) +
                    aligned(sizes.projection)),
        memory(packed_size + teams.count * (states + chunk + sums)) {}

  PackedWeights packed() const {
    float* input = memory.get();
    float* recurrent = input + aligned(sizes.input);
    float* candidate = recurrent + aligned(sizes.recurrent);
    return {input, recurrent, candidate, candidate + aligned(sizes.candidate)};
  }

  Scratch scratch(int team) const {
    float* own = memory.get() + packed_size + team * (states + chunk + sums);
    return {own, own + states, own + states + chunk};
  }

  void clear(int team) const {
    std::memset(scratch(team).states, 0, states * sizeof(float));
    std::memset(scratch(team).sums, 0, sums * sizeof(float));
  }
};

// pack(worker) on all threads, then run(team, worker) for each team.
template <class Pack, class Run>
void run_teams(int teams, const Teams& groups, const Buffers& buffers, const Pack& pack, const Run& run) {
  Team all(groups.count * groups.size);
  std::deque<Team> barriers;
  for (int i = 0; i < groups.count; ++i) barriers.emplace_back(groups.size);
  const auto work = [&](int id) {
    const int group = id / groups.size;
    const Worker worker{&barriers[group], id % groups.size};
    if (worker.id == 0)
      for (int team = group; team < teams; team += groups.count) buffers.clear(team);
    pack(Worker{&all, id});
    all.wait();
    for (int team = group; team < teams; team += groups.count) run(team, worker);
  };
  if (run_parallel(all.size, work)) return;
  Team alone(1);
  pack(Worker{&alone, 0});
  for (int team = 0; team < teams; ++team) {
    buffers.clear(team);
    run(team, Worker{&alone, 0});
  }
}

std::atomic<bool> always{false};

}  // namespace

void eager(bool on) { always = on; }
bool is_eager() { return always; }

void run_forward(const std::string& cell, const Sequence& s, const Outputs& out, const Threads& threads) {
  const Kernel& kernel = isa().kernel(cell);
  const Teams teams = arrange(s, kernel, threads);
  const Assignment assignment(s, teams.count);
  const Buffers buffers(s, kernel.sizes(s, false), teams);
  const PackedWeights packed = buffers.packed();
  const int64_t rows = s.steps * s.batch;
  advise_huge_pages(out.y, rows * s.width);
  advise_huge_pages(out.saved, rows * kernel.saved * s.hidden);
  advise_huge_pages(out.normed, rows * 2 * kernel.gates * s.hidden);
  run_teams(
      teams.count, fit(teams, threads.available, false), buffers,
      [&](const Worker& worker) { kernel.pack(s, packed, worker); },
      [&](int team, const Worker& worker) {
        kernel.forward(s, out, assignment.rows(team), packed, buffers.scratch(team), worker);
      });
}

void run_backward(const std::string& cell, const Sequence& s, const Adjoint& g, const Threads& threads) {
  const Kernel& kernel = isa().kernel(cell);
  if (!kernel.backward) throw std::invalid_argument(cell + " runs forward only");
  const Teams teams = arrange(s, kernel, threads);
  const Assignment assignment(s, teams.count);
  const Sizes sizes = kernel.sizes(s, true);
  const Buffers buffers(s, sizes, teams);
  const PackedWeights packed = buffers.packed();
  advise_huge_pages(g.dprojected, s.steps * s.batch * kernel.gates * s.hidden);
  advise_huge_pages(g.drecurrent, s.steps * s.batch * (s.norm_ih ? kernel.gates : 1) * s.hidden);
  run_teams(
      teams.count, fit(teams, threads.available, kernel.by_rows(s)), buffers,
      [&](const Worker& worker) { kernel.pack_adjoint(s, packed, worker); },
      [&](int team, const Worker& worker) {
        kernel.backward(s, g, assignment.rows(team), packed, buffers.scratch(team), worker);
      });
  std::memset(g.dvectors, 0, sizes.vectors * s.hidden * sizeof(float));
  for (int i = 0; i < teams.count * teams.size; ++i) {
    const float* sums = buffers.scratch(i / teams.size).sums + i % teams.size * sizes.sums;
    for (int64_t v = 0; v < sizes.vectors; ++v)
      for (int64_t unit = 0; unit < s.hidden; ++unit)
        g.dvectors[v * s.hidden + unit] += sums[v * padded(s.hidden) + unit];
  }
}

}  // namespace holdfast
