// Arguments of the kernels. T steps, B batch, I inputs, H hidden, P width of the hidden state (H unless it is
// projected), G gates. All arrays are contiguous, row-major float32. A null pointer is an absent option.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "team.h"

namespace holdfast {

// The fraction of a state's old value that stays: ``kept`` where the hash of a unit's position is below the
// threshold, ``other`` elsewhere. Sampled: (rate 2^32, 1, 0). Its mean: (0, rate, rate). Absent: all 0.
struct Zoneout {
  uint32_t threshold = 0, key = 0;
  float kept = 0, other = 0;
};

// One layer in one direction.
struct Sequence {
  int64_t steps, batch, inputs, hidden, width;
  bool reverse;                                             // from the last step to the first
  const int64_t* lengths;                                   // [B]
  const float* x;                                           // [T, B, I]
  const float *h0, *c0;                                     // [B, P], [B, H] (LSTM only)
  const float *weight_ih, *weight_hh, *bias_ih, *bias_hh;   // [G*H, I], [G*H, P], [G*H], [G*H]
  const float *weight_hr, *weight_ch;                       // [P, H], [peepholes * H]
  const float *norm_ih, *norm_hh, *norm_ch, *norm_ch_bias;  // [G*H], [G*H], [H], [H]
  const float* mask;                                        // [B, P]: multiplies h before W_hh
  Zoneout zoneout[2];                                       // of h and of c

  bool noisy() const { return mask || zoneout[0].kept > 0 || zoneout[1].kept > 0; }
};

struct Outputs {
  float* y;      // [T, B, P], zero past each sequence's end
  float *h, *c;  // [B, P], [B, H]: after each sequence's own last step
  float* saved;  // [T, B, S*H] for the backward pass and for traces: see each cell's file
  float*
      normed;  // [T, B, 2*G*H + 2*G] with layer norm: the normalised parts of x and of h, and their 1/sigma
};

struct Adjoint {
  const float *y, *saved, *normed;
  const float *dy, *dh, *dc, *dsaved;  // [T, B, P], [B, P], [B, H], [T, B, S*H]
  float* dprojected;                   // [T, B, G*H]: with respect to x W_ih^T; zero past each sequence's end
  float* drecurrent;  // [T, B, R*H]: with respect to W_hh h where that differs: all gates with layer norm,
                      // otherwise a GRU's candidate
  float* dhidden;     // [T, B, P]: with respect to W_hr m, with a projection
  float *dh0, *dc0;   // [B, P], [B, H]
  float* dvectors;    // [V, H], sums over steps and batch: ``Slots`` in sequence.h
};

// The sequences of one team, the longest first. The sequences active at a step come before all others.
struct Rows {
  int64_t count;
  const int64_t* order;    // index in the batch
  const int64_t* lengths;  // T where the sequence has no length
};

// The packed weights and biases that the products read: see gemm.h.
struct PackedWeights {
  float *input, *recurrent, *candidate, *projection;
};

// The buffers of one team. States and sums start at zero; the chunk is uninitialised.
struct Scratch {
  float *states, *chunk, *sums;
};

struct Sizes {
  int64_t input, recurrent, candidate, projection;  // floats of the packed weights
  int64_t states, row, sums;                        // floats for each sequence, row of a chunk, worker
  int64_t vectors;                                  // V
};

// One cell in one instruction set.
struct Kernel {
  const char *name, *suffix;  // of the cell; of its weights' format: gemm.h, int8.h
  int64_t gates, saved, peepholes;
  bool (*by_rows)(const Sequence&);  // workers take rows: general.h
  Sizes (*sizes)(const Sequence&, bool backward);
  void (*pack)(const Sequence&, const PackedWeights&, const Worker&);
  void (*forward)(const Sequence&, const Outputs&, const Rows&, const PackedWeights&, const Scratch&,
                  const Worker&);
  void (*pack_adjoint)(const Sequence&, const PackedWeights&, const Worker&);  // null: forward only
  void (*backward)(const Sequence&, const Adjoint&, const Rows&, const PackedWeights&, const Scratch&,
                   const Worker&);
};

// Floats of n values and the rest of the last tile. row_stride adds a cache line, so that consecutive rows do
// not share a cache set.
constexpr int64_t padded(int64_t n) { return (n + 31) / 32 * 32; }
constexpr int64_t row_stride(int64_t n) { return padded(n) + 16; }

// Several steps' inputs are projected together, by one product of about this many rows.
constexpr int64_t chunk_rows = 96;
inline int64_t chunk_steps(int64_t rows) { return rows < 1 ? chunk_rows : (chunk_rows + rows - 1) / rows; }

struct Isa {
  const char* name;
  std::vector<const Kernel*> cells;                     // two of each: see kernel.h
  double (*peak)(int64_t rounds);                       // peak.cpp
  const Kernel& kernel(const std::string& cell) const;  // name + suffix; unknown: std::invalid_argument
};

std::vector<std::string> isas();           // that run here, the best first
void select_isa(const std::string& name);  // for all later calls; "auto" is the best one that runs here
const Isa& isa();  // the selected one; by default HOLDFAST_ISA of the environment, or the best

double peak();  // flop/s of one thread's multiply-adds: the best of several short runs

struct Threads {
  int count;           // torch's number, by which the work is divided
  bool deterministic;  // the same result to the last bit, whatever the count
  int available;       // how many may run now; results do not depend on it
};

void eager(bool on);  // for tests: use several threads even for little work
bool is_eager();
inline double unless_eager(double work) { return is_eager() ? 1.0 : work; }

void run_forward(const std::string& cell, const Sequence&, const Outputs&, const Threads&);
void run_backward(const std::string& cell, const Sequence&, const Adjoint&, const Threads&);

}  // namespace holdfast
