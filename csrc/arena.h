// Reused scratch memory: fresh pages cost more than the work on them. ``poison`` fills each buffer with NaN,
// so that tests detect a value that is read before it is written.
#pragma once

#include <cstdint>

namespace holdfast {

// Ask the system for large pages: a new array of many megabytes costs more in page faults than the work on
// it.
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
