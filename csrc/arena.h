// Scratch memory that is used again: fresh pages cost more than the work on them. ``poison`` fills what is
// handed out with NaN, so that tests see a value that was read before it was written.
#pragma once

#include <cstdint>

namespace holdfast {

// Asks for large pages: a fresh array of many megabytes costs more in page faults than the work on it.
void advise_huge_pages(float* array, int64_t n);

void poison(bool on);

class Buffer {
 public:
  explicit Buffer(int64_t floats);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  float* get() const { return memory; }

 private:
  float* memory;
  int64_t size;
};

}  // namespace holdfast
