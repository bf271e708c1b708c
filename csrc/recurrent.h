// What the kernels are given. T steps, B batch, I inputs, H hidden, G gates; all arrays contiguous, row-major
// float32.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast {

// One layer in one direction. A null pointer is an absent option.
struct Sequence {
  int64_t steps, batch, inputs, hidden;
  bool reverse;            // from the last step to the first
  const float* x;          // [T, B, I]
  const float* h0;         // [B, H]
  const float* c0;         // [B, H], LSTM only
  const float* weight_ih;  // [G*H, I]
  const float* weight_hh;  // [G*H, H]
  const float* bias_ih;    // [G*H]
  const float* bias_hh;    // [G*H]
  const int64_t* lengths;  // [B]
};

struct Outputs {
  float* y;      // [T, B, H], zero past each sequence's end
  float* h;      // [B, H], after each sequence's own last step
  float* c;      // [B, H], LSTM only
  float* saved;  // [T, B, S*H] for the backward pass; LSTM: i, f, g, o, c; GRU: r, z, n, W_hn h + b_hn
};

struct Adjoint {
  const float* y;
  const float* saved;
  const float* dy;    // [T, B, H]
  const float* dh;    // [B, H]
  const float* dc;    // [B, H]
  float* dprojected;  // [T, B, G*H]: with respect to x W_ih^T + b_ih; zero past each sequence's end
  float* dcandidate;  // [T, B, H], GRU only: with respect to W_hn h + b_hn
  float* dh0;         // [B, H]
  float* dc0;         // [B, H], LSTM only
};

// The sequences of one thread, the longest first: those active at a step come before all others.
struct Rows {
  int64_t count;
  const int64_t* order;    // index in the batch
  const int64_t* lengths;  // T where the sequence has no length
};

// The weights as the product of one cell reads them, with their biases: see gemm.h.
struct Panels {
  float *input, *recurrent;
};

// One cell in one instruction set. States start at zero; all arrays have the sizes below.
struct Kernel {
  int64_t gates, saved;
  void (*pack)(const Sequence&, const Panels&);
  void (*forward)(const Sequence&, const Outputs&, const Rows&, const Panels&, float* states, float* chunk);
  void (*pack_adjoint)(const Sequence&, float* panels);
  void (*backward)(const Sequence&, const Adjoint&, const Rows&, const float* panels, float* scratch);
};

// Space for n floats and a whole tile past them; the odd number of cache lines keeps rows out of the same
// set.
constexpr int64_t padded(int64_t n) { return (n + 31) / 32 * 32; }
constexpr int64_t row_stride(int64_t n) { return padded(n) + 16; }

// The inputs of some steps are projected together, by one product of about this many rows.
constexpr int64_t chunk_rows = 96;
inline int64_t chunk_steps(int64_t rows) { return rows < 1 ? chunk_rows : (chunk_rows + rows - 1) / rows; }

struct Isa {
  const char* name;
  Kernel rnn_tanh, rnn_relu, lstm, gru;
  double (*peak)(int64_t rounds);                       // peak.cpp
  const Kernel& kernel(const std::string& cell) const;  // an unknown cell throws std::invalid_argument
};

std::vector<std::string> isas();           // those that run here, the best first
void select_isa(const std::string& name);  // for all calls that follow; "auto" is the best one that runs here
const Isa& isa();  // the one selected; at first the environment's HOLDFAST_ISA or the best

double peak();  // flop/s of one thread's multiply-adds: the best of some milliseconds

void run_forward(const std::string& cell, const Sequence&, const Outputs&, int threads);
void run_backward(const std::string& cell, const Sequence&, const Adjoint&, int threads);

}  // namespace holdfast
