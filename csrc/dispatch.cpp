// The instruction sets: those that were built, those that run here, and the selected one.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <stdexcept>

#include "recurrent.h"

// Kernels have constant static initialisers, so the order of the sources does not matter.
#define HOLDFAST_DECLARE(set)                                                                               \
  namespace holdfast::set {                                                                                 \
  extern const Kernel *const rnn_tanh,                                                                      \
      *const rnn_relu, *const gru, *const gru_reset_before,                                                 \
                                       *const lstm, *const lstm_peephole, *const lstm_coupled,              \
                                                                              *const lstm_coupled_peephole; \
  double peak(int64_t rounds);                                                                              \
  static Isa table() {                                                                                      \
    return {#set,                                                                                           \
            {rnn_tanh, rnn_relu, gru, gru_reset_before, lstm, lstm_peephole, lstm_coupled,                  \
             lstm_coupled_peephole},                                                                        \
            peak};                                                                                          \
  }                                                                                                         \
  }

HOLDFAST_DECLARE(baseline)
#ifdef HOLDFAST_HAS_AVX2
HOLDFAST_DECLARE(avx2)
#endif
#ifdef HOLDFAST_HAS_AVX512
HOLDFAST_DECLARE(avx512)
HOLDFAST_DECLARE(avx512vnni)
#endif

namespace holdfast {
namespace {

// Return the built sets that this processor has, the best first.
std::vector<Isa> runnable() {
  std::vector<Isa> found;
#ifdef HOLDFAST_HAS_AVX512
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
    if (__builtin_cpu_supports("avx512vnni")) found.push_back(avx512vnni::table());
    found.push_back(avx512::table());
  }
#endif
#ifdef HOLDFAST_HAS_AVX2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(avx2::table());
#endif
  found.push_back(baseline::table());
  return found;
}

const std::vector<Isa>& tables() {
  static const std::vector<Isa> found = runnable();
  return found;
}

const Isa& find(const std::string& name) {
  if (name == "auto") return tables().front();
  std::string known = "auto";
  for (const Isa& table : tables()) {
    if (name == table.name) return table;
    known += std::string(", ") + table.name;
  }
  throw std::invalid_argument("an instruction set that runs here is one of " + known + "; got '" + name +
                              "'");
}

std::atomic<const Isa*> selected{nullptr};

}  // namespace

std::vector<std::string> isas() {
  std::vector<std::string> names;
  for (const Isa& table : tables()) names.emplace_back(table.name);
  return names;
}

void select_isa(const std::string& name) { selected = &find(name); }

const Isa& isa() {
  if (!selected) {
    const char* name = std::getenv("HOLDFAST_ISA");
    selected = &find(name && *name ? name : "auto");
  }
  return *selected;
}

double peak() {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t rounds = 200'000;  // about half a millisecond
  double best = 0;
  for (int trial = 0; trial < 20; ++trial) {
    const auto start = Clock::now();
    const double flop = isa().peak(rounds);
    best = std::max(best, flop / std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

const Kernel& Isa::kernel(const std::string& cell) const {
  for (const Kernel* both : cells)
    for (const Kernel* kernel = both; kernel != both + 2; ++kernel)
      if (cell == std::string(kernel->name) + kernel->suffix) return *kernel;
  throw std::invalid_argument("the native core has no cell '" + cell + "'");
}

}  // namespace holdfast
