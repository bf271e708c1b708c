// The layers of a stack, one step at a time: weights that are packed once, and states.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "arena.h"
#include "recurrent.h"

namespace holdfast {

class Stream {
 public:
  // Each layer's x, h0, c0 and lengths are ignored; its batch is that of the stream. All arrays are copied.
  Stream(const std::string& cell, const std::vector<Sequence>& layers, int64_t batch);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void resize(int64_t batch);                        // sets all states to zero
  void step(const float* x, float* y, int threads);  // [B, I] -> [B, P], on at most that many threads

  int64_t batch() const { return sequences; }
  int64_t inputs() const { return layers.front().shape.inputs; }
  int64_t outputs() const { return layers.back().shape.width; }
  int64_t depth() const { return int64_t(layers.size()); }
  std::vector<float>& h(int64_t layer) { return layers.at(layer).h; }  // [B, P]
  std::vector<float>& c(int64_t layer) { return layers.at(layer).c; }  // [B, H]

 private:
  struct Layer {
    Sequence shape;
    std::vector<std::vector<float>> vectors;  // copies of the weights that are not packed
    std::unique_ptr<Buffer> weights, buffers;
    PackedWeights packed;
    std::vector<float> h, c, y;
    Scratch scratch;
  };

  void pack(Layer& layer);
  int useful_threads(int threads) const;
  void run(const float* x, float* y, const Worker& worker);

  const Kernel& kernel;
  int64_t sequences = 0;
  std::vector<Layer> layers;
  std::vector<int64_t> order, ones;
};

}  // namespace holdfast
