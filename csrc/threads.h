// Threads that live for one call. A pool of our own would compete with torch's for the cores.
#pragma once

#include <system_error>
#include <thread>
#include <vector>

namespace holdfast {

// work(0) ... work(count - 1), each once, on up to ``count`` threads; returns when all are done.
template <class Work>
void parallel(int count, const Work& work) {
  std::vector<std::thread> threads;
  threads.reserve(count);
  int started = 1;
  try {
    for (; started < count; ++started) threads.emplace_back(work, started);
  } catch (const std::system_error&) {  // the system grants no more threads
  }
  work(0);
  for (int i = started; i < count; ++i) work(i);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace holdfast
