#include "stream.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "threads.h"

namespace holdfast {
namespace {

constexpr double work_of_a_thread = 2.5e6;  // multiply-adds of a step: 100 us; to wake a thread takes a few

// Replace a vector by the stream's own copy. An absent vector stays absent.
void copy_vector(std::vector<std::vector<float>>& kept, const float*& vector, int64_t n) {
  if (!vector) return;
  kept.emplace_back(vector, vector + n);
  vector = kept.back().data();
}

}  // namespace

Stream::Stream(const std::string& cell, const std::vector<Sequence>& given, int64_t batch)
    : kernel(isa().kernel(cell)), layers(given.size()) {
  for (size_t i = 0; i < given.size(); ++i) {
    layers[i].shape = given[i];
    pack(layers[i]);
  }
  resize(batch);
}

void Stream::pack(Layer& layer) {
  Sequence& s = layer.shape;
  s.steps = 1, s.reverse = false, s.lengths = nullptr, s.x = s.h0 = s.c0 = nullptr;
  const Sizes sizes = kernel.sizes(s, false);
  const int64_t parts[] = {padded(sizes.input), padded(sizes.recurrent), padded(sizes.candidate),
                           padded(sizes.projection)};
  layer.weights = std::make_unique<Buffer>(std::accumulate(std::begin(parts), std::end(parts), int64_t{0}));
  float* input = layer.weights->get();
  float* recurrent = input + parts[0];
  float* candidate = recurrent + parts[1];
  layer.packed = {input, recurrent, candidate, candidate + parts[2]};
  Team alone(1);
  kernel.pack(s, layer.packed, {&alone, 0});
  const int64_t rows = kernel.gates * s.hidden;
  for (auto* vector : {&s.bias_ih, &s.bias_hh, &s.norm_ih, &s.norm_hh})
    copy_vector(layer.vectors, *vector, rows);
  for (auto* vector : {&s.norm_ch, &s.norm_ch_bias}) copy_vector(layer.vectors, *vector, s.hidden);
  copy_vector(layer.vectors, s.weight_ch, kernel.peepholes * s.hidden);
}

void Stream::resize(int64_t batch) {
  sequences = batch;
  order.resize(batch);
  std::iota(order.begin(), order.end(), 0);
  ones.assign(batch, 1);
  for (Layer& layer : layers) {
    Sequence& s = layer.shape;
    s.batch = batch;
    const Sizes sizes = kernel.sizes(s, false);
    const int64_t states = padded(batch * sizes.states), chunk = chunk_steps(batch) * batch * sizes.row;
    layer.buffers = std::make_unique<Buffer>(states + chunk);
    std::memset(layer.buffers->get(), 0, states * sizeof(float));
    layer.scratch = {layer.buffers->get(), layer.buffers->get() + states, nullptr};
    layer.h.assign(batch * s.width, 0.0f);
    layer.c.assign(batch * s.hidden, 0.0f);
    layer.y.assign(batch * s.width, 0.0f);
  }
}

int Stream::useful_threads(int threads) const {
  double work = 0;
  for (const Layer& layer : layers)
    work += double(sequences) * kernel.gates * layer.shape.hidden * (layer.shape.width + layer.shape.inputs);
  const int most = std::max(forked ? 1 : threads, 1);
  return int(std::clamp(work / unless_eager(work_of_a_thread), 1.0, double(most)));
}

void Stream::run(const float* x, float* y, const Worker& worker) {
  const Rows rows{sequences, order.data(), ones.data()};
  for (Layer& layer : layers) {
    Sequence s = layer.shape;
    s.x = x, s.h0 = layer.h.data(), s.c0 = layer.c.data();
    float* to = &layer == &layers.back() ? y : layer.y.data();
    kernel.forward(s, {to, layer.h.data(), layer.c.data(), nullptr, nullptr}, rows, layer.packed,
                   layer.scratch, worker);
    worker.wait();  // the next layer reads all of the output
    x = to;
  }
}

void Stream::step(const float* x, float* y, int threads) {
  const int count = useful_threads(threads);
  Team team(count), alone(1);
  if (!run_parallel(count, [&](int id) { run(x, y, {&team, id}); })) run(x, y, {&alone, 0});
}

}  // namespace holdfast
