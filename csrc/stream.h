// One step at a time: the layers of a stack with their weights packed once, and their states.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "arena.h"
#include "recurrent.h"

namespace holdfast {

class Stream {
 public:
  // Each layer's x, h0, c0 and lengths are ignored; its batch is that of the stream. Nothing given is kept.
  Stream(const std::string& cell, const std::vector<Sequence>& layers, int64_t batch, int threads);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void resize(int64_t batch);           // states are zero afterwards
  void step(const float* x, float* y);  // [B, I] -> [B, P]

  int64_t batch() const { return sequences; }
  int64_t inputs() const { return layers.front().shape.inputs; }
  int64_t outputs() const { return layers.back().shape.width; }
  int64_t depth() const { return int64_t(layers.size()); }
  std::vector<float>& h(int64_t layer) { return layers.at(layer).h; }  // [B, P]
  std::vector<float>& c(int64_t layer) { return layers.at(layer).c; }  // [B, H]

 private:
  struct Layer {
    Sequence shape;
    std::vector<std::vector<float>> vectors;  // copies of those that are not packed
    std::unique_ptr<Buffer> panels, room;
    Panels packed;
    std::vector<float> h, c, y;
    Scratch scratch;
  };

  void pack(Layer& layer);
  int threads_worth() const;
  void run(const float* x, float* y, const Member& member);

  const Kernel& kernel;
  const int threads;
  int64_t sequences = 0;
  std::vector<Layer> layers;
  std::vector<int64_t> order, ones;
};

}  // namespace holdfast
