// The core without Python, on random layers: `stress FIRST COUNT [DUMP]`.
//
// Scratch memory is filled with NaN, and every array ends where its allocation ends. For each number: two
// runs give the same bits, also on fewer threads than the work was divided for; every instruction set and
// number of threads gives the same within rounding; several callers at once get what one gets; a stream's
// steps equal the whole sequence; no value is NaN, and all is zero after a sequence's end. DUMP receives all
// results as float32, for a comparison with another machine's.
//
// First, teams of workers pass a barrier many times, each with delays that make some of them sleep.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <thread>

#include "stream.h"

using namespace holdfast;
using Array = std::vector<float>;

namespace {

// The same numbers on every machine.
struct Random {
  uint64_t state;
  explicit Random(uint64_t seed) : state(seed * 2654435761u + 88172645463325252ull) {}
  uint64_t next() {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state * 2685821657736338717ull >> 32;
  }
  int64_t between(int64_t low, int64_t high) { return low + int64_t(next() % uint64_t(high - low + 1)); }
  bool one_in(int64_t n) { return between(1, n) == 1; }
  float uniform() { return float(next() >> 8) / float(1 << 24) * 2 - 1; }
  Array array(int64_t n, float scale = 1, float centre = 0) {
    Array values(n);
    for (float& value : values) value = centre + scale * uniform();
    return values;
  }
};

struct CellKind {
  const char* name;
  int64_t gates, saved, peepholes;
  bool lstm;
};

constexpr CellKind kinds[] = {{"rnn_tanh", 1, 1, 0, false},    {"rnn_relu", 1, 1, 0, false},
                              {"gru", 3, 4, 0, false},         {"gru_reset_before", 3, 4, 0, false},
                              {"lstm", 4, 5, 0, true},         {"lstm_peephole", 4, 5, 3, true},
                              {"lstm_coupled", 3, 4, 0, true}, {"lstm_coupled_peephole", 3, 4, 2, true}};

struct Case {
  uint64_t number;
  CellKind kind;
  bool int8;
  Sequence s{};
  std::vector<Array> arrays;  // what the sequence points to
  std::vector<int64_t> lengths;

  explicit Case(uint64_t number) : number(number) {
    Random random(number);
    kind = kinds[random.between(0, 7)];
    int8 = random.one_in(5);
    draw_sizes(random);
    draw_arrays(random);
  }

  const float* keep(Array array) { return arrays.emplace_back(std::move(array)).data(); }

  void draw_sizes(Random& random) {
    const bool large = random.one_in(6);
    s.steps = random.between(1, 12), s.batch = random.between(1, large ? 45 : 9);
    s.inputs = random.between(1, 20), s.hidden = random.between(1, large ? 130 : 40);
    s.width = kind.lstm && s.hidden > 1 && random.one_in(4) ? random.between(1, s.hidden - 1) : s.hidden;
    s.reverse = random.one_in(3);
    if (!random.one_in(2)) return;
    for (int64_t b = 0; b < s.batch; ++b) lengths.push_back(random.between(1, s.steps));
    s.lengths = lengths.data();
  }

  void draw_arrays(Random& random) {
    const int64_t B = s.batch, I = s.inputs, P = s.width, H = s.hidden, rows = kind.gates * H;
    const float scale = 1 / std::sqrt(float(H));
    arrays.reserve(20);
    s.x = keep(random.array(s.steps * B * I));
    s.h0 = keep(random.array(B * P, 0.5f));
    if (kind.lstm) s.c0 = keep(random.array(B * H, 0.5f));
    s.weight_ih = keep(random.array(rows * I, scale)), s.weight_hh = keep(random.array(rows * P, scale));
    if (!random.one_in(4)) s.bias_ih = keep(random.array(rows)), s.bias_hh = keep(random.array(rows));
    if (P != H) s.weight_hr = keep(random.array(P * H, scale));
    if (kind.peepholes) s.weight_ch = keep(random.array(kind.peepholes * H, scale));
    if (H >= 16 && random.one_in(4)) {
      s.norm_ih = keep(random.array(rows, 0.2f, 0.8f)), s.norm_hh = keep(random.array(rows, 0.2f, 0.8f));
      if (kind.lstm) s.norm_ch = keep(random.array(H, 0.2f, 0.8f)), s.norm_ch_bias = keep(random.array(H));
    }
    if (random.one_in(4)) s.mask = keep(random.array(B * P, 0.5f, 1));
    for (int i = 0; i < 1 + kind.lstm; ++i)
      if (random.one_in(4)) s.zoneout[i] = {uint32_t(0.3 * 4294967296.0), uint32_t(random.next()), 1, 0};
  }

  std::string cell() const { return std::string(kind.name) + (int8 ? "_int8" : ""); }

  [[noreturn]] void fail(const std::string& what) const {
    std::fprintf(stderr, "number %llu, %s T %lld B %lld I %lld H %lld P %lld%s%s%s: %s\n",
                 (unsigned long long)number, cell().c_str(), (long long)s.steps, (long long)s.batch,
                 (long long)s.inputs, (long long)s.hidden, (long long)s.width, s.reverse ? " reverse" : "",
                 s.lengths ? " lengths" : "", s.norm_ih ? " layer norm" : "", what.c_str());
    std::exit(1);
  }
};

using Results = std::vector<Array>;

// An array whose elements a run must all write.
Array unset(size_t n) { return Array(n, NAN); }

// y, h, c, saved, normed, then the gradients.
constexpr Threads one_thread{1, false, 1};

Results run(const Case& drawn, const Threads& threads) {
  const Sequence& s = drawn.s;
  const int64_t H = s.hidden, P = s.width, G = drawn.kind.gates, tokens = s.steps * s.batch;
  const int64_t slots = drawn.kind.saved + (s.weight_hr != nullptr);
  Array y = unset(tokens * P), h = unset(s.batch * P), c = unset(drawn.kind.lstm ? s.batch * H : 0);
  Array saved = unset(tokens * slots * H), normed = unset(s.norm_ih ? tokens * (2 * G * H + 2 * G) : 0);
  float* kept = drawn.int8 ? nullptr : saved.data();
  run_forward(drawn.cell(), s,
              {y.data(), h.data(), c.data(), kept, s.norm_ih && kept ? normed.data() : nullptr}, threads);
  if (drawn.int8) return {y, h, c};
  Random random(drawn.number + 1);
  const Array dy = random.array(tokens * P), dh = random.array(s.batch * P), dc = random.array(s.batch * H);
  const Array dsaved = random.array(tokens * slots * H);
  const bool parts[] = {!random.one_in(4), random.one_in(2), random.one_in(2), random.one_in(3)};
  const bool gru = std::string(drawn.kind.name) == "gru";
  Array dprojected = unset(tokens * G * H);
  Array drecurrent = unset(s.norm_ih ? tokens * G * H : gru ? tokens * H : 0);
  Array dhidden = unset(s.weight_hr ? tokens * P : 0), dh0 = unset(s.batch * P);
  Array dc0 = unset(c.size()), dvectors = unset((3 * G + drawn.kind.peepholes + 3) * H);
  Adjoint g{};
  g.y = y.data(), g.saved = saved.data(), g.normed = s.norm_ih ? normed.data() : nullptr;
  g.dy = parts[0] ? dy.data() : nullptr, g.dh = parts[1] ? dh.data() : nullptr;
  g.dc = parts[2] && drawn.kind.lstm ? dc.data() : nullptr, g.dsaved = parts[3] ? dsaved.data() : nullptr;
  g.dprojected = dprojected.data(), g.drecurrent = drecurrent.empty() ? nullptr : drecurrent.data();
  g.dhidden = s.weight_hr ? dhidden.data() : nullptr, g.dh0 = dh0.data();
  g.dc0 = drawn.kind.lstm ? dc0.data() : nullptr, g.dvectors = dvectors.data();
  run_backward(drawn.cell(), s, g, threads);
  return {y, h, c, saved, normed, dprojected, drecurrent, dhidden, dh0, dc0, dvectors};
}

void check_close(const Case& drawn, const std::string& what, const Results& one, const Results& other,
                 float tolerance) {
  for (size_t i = 0; i < one.size(); ++i) {
    float most = 1e-2f;
    for (float value : one[i]) most = std::max(most, std::fabs(value));
    for (size_t k = 0; k < one[i].size(); ++k)
      if (!(std::fabs(one[i][k] - other[i][k]) <= tolerance * most))
        drawn.fail(what + ": array " + std::to_string(i) + " differs: " + std::to_string(one[i][k]) +
                   " and " + std::to_string(other[i][k]));
  }
}

void check_itself(const Case& drawn, const Results& found) {
  for (const Array& array : found)
    for (float value : array)
      if (!std::isfinite(value)) drawn.fail("a value is not finite");
  const Sequence& s = drawn.s;
  for (int64_t t = 0; s.lengths && t < s.steps; ++t)
    for (int64_t b = 0; b < s.batch; ++b)
      for (int64_t i = 0; t >= s.lengths[b] && i < s.width; ++i)
        if (found[0][(t * s.batch + b) * s.width + i] != 0) drawn.fail("an output past the end is not zero");
  if (run(drawn, one_thread) != found) drawn.fail("a second run differs");
}

void check_callers(const Case& drawn) {
  const Threads two{2, false, 2};
  const Results alone = run(drawn, two);
  std::vector<Results> found(3);
  std::vector<std::thread> callers;
  for (Results& results : found) callers.emplace_back([&] { results = run(drawn, two); });
  for (std::thread& caller : callers) caller.join();
  for (const Results& results : found)
    if (results != alone) drawn.fail("callers at once differ");
}

void check_stream(const Case& drawn, const Results& whole, int threads) {
  const Sequence& s = drawn.s;
  if (s.reverse || s.lengths || s.mask || s.zoneout[0].kept > 0 || s.zoneout[1].kept > 0) return;
  Stream stream(drawn.cell(), {s}, s.batch + 1);
  stream.resize(s.batch);
  std::copy_n(s.h0, s.batch * s.width, stream.h(0).data());
  if (s.c0) std::copy_n(s.c0, s.batch * s.hidden, stream.c(0).data());
  Array y(whole[0].size());
  for (int64_t t = 0; t < s.steps; ++t)
    stream.step(s.x + t * s.batch * s.inputs, y.data() + t * s.batch * s.width, threads);
  check_close(drawn, "a stream", {whole[0]}, {y}, drawn.int8 ? 0.05f : 1e-5f);
}

// int8: a value on the edge may be rounded the other way.
void check_threads(const Case& drawn, const std::string& set, const Results& found, int threads) {
  const std::string what = set + ", " + std::to_string(threads) + " threads";
  const Results all = run(drawn, {threads, false, threads});
  check_close(drawn, what, found, all, drawn.int8 ? 0.05f : 1e-4f);
  for (int available = 1; available < threads; ++available)
    if (run(drawn, {threads, false, available}) != all)
      drawn.fail(what + " of which " + std::to_string(available) + " run: the bits differ");
}

void check(const Case& drawn, std::ofstream& dump) {
  select_isa("baseline");
  const Results found = run(drawn, one_thread);
  eager(drawn.number % 2);
  check_itself(drawn, found);
  for (const std::string& set : isas()) {
    select_isa(set);
    for (int threads : {1, 2, 4}) check_threads(drawn, set, found, threads);
    check_stream(drawn, found, 1 + int(drawn.number % 3));
  }
  if (drawn.number % 4 == 0) check_callers(drawn);
  for (const Array& array : found)
    if (dump)
      dump.write(reinterpret_cast<const char*>(array.data()), std::streamsize(array.size() * sizeof(float)));
}

// Each worker counts its turns; after every wait all must have counted as many. Now and then one comes late,
// so that the others sleep.
void check_barrier(int size, int turns) {
  Team team(size);
  std::vector<int64_t> counts(size);
  std::atomic<bool> failed{false};
  const auto work = [&](int id) {
    Random random(uint64_t(id) + 1);
    const Worker worker{&team, id};
    for (int turn = 1; turn <= turns; ++turn) {
      if (random.one_in(50)) std::this_thread::sleep_for(std::chrono::microseconds(3 * spin_microseconds));
      ++counts[id];
      worker.wait();
      for (int64_t count : counts)
        if (count != turn) failed = true;
      worker.wait();
    }
  };
  std::vector<std::thread> threads;
  for (int id = 0; id < size; ++id) threads.emplace_back(work, id);
  for (std::thread& thread : threads) thread.join();
  if (failed) std::fprintf(stderr, "a team of %d: a worker passed the barrier early\n", size), std::exit(1);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) return std::fprintf(stderr, "stress FIRST COUNT [DUMP]\n"), 2;
  const uint64_t first = std::strtoull(arguments[1], nullptr, 10),
                 cases = std::strtoull(arguments[2], nullptr, 10);
  std::ofstream dump;
  if (count > 3) dump.open(arguments[3], std::ios::binary);
  if (!dump) return std::fprintf(stderr, "cannot write %s\n", arguments[3]), 2;
  for (int size : {2, 3, 4, 9}) check_barrier(size, 2000);
  poison(true);
  for (uint64_t number = first; number < first + cases; ++number) check(Case(number), dump);
  std::string sets;
  for (const std::string& set : isas()) sets += " " + set;
  std::printf("%llu layers, all alike:%s\n", (unsigned long long)cases, sets.c_str());
}
