// Run work on several threads at once. They are those of GNU's OpenMP runtime if the process has one (torch
// brings it): a pool of our own would compete with torch's for the cores. Otherwise they live for one call.
#pragma once

#include <atomic>
#include <system_error>
#include <thread>
#include <vector>
#ifdef __linux__
#include <dlfcn.h>
#include <pthread.h>
#endif

namespace holdfast {

inline std::atomic<bool> forked{false};
#ifdef __linux__
inline const int fork_handler = pthread_atfork(nullptr, nullptr, [] { forked = true; });
#endif

// How to run a function on a team of threads, and how to get the team's size inside it.
struct OpenMp {
  void (*fork)(void (*run)(void*), void* data, unsigned threads, unsigned flags) = nullptr;
  int (*size)() = nullptr;
};

// Null without such a runtime, and in a forked process: the runtime's threads are gone there, and it would
// wait for them forever.
inline OpenMp openmp() {
#ifdef __linux__
  static const OpenMp found{
      reinterpret_cast<decltype(OpenMp::fork)>(dlsym(RTLD_DEFAULT, "GOMP_parallel")),
      reinterpret_cast<decltype(OpenMp::size)>(dlsym(RTLD_DEFAULT, "omp_get_num_threads"))};
  return forked ? OpenMp{} : found;
#else
  return {};
#endif
}

// One parallel call: work(0) ... work(count - 1).
template <class Work>
struct Region {
  const Work& work;
  const int count;
  int (*size)();
  std::atomic<int> next{0};
  std::atomic<int> start{0};  // without OpenMP: 1 run, -1 return

  static void run(void* data) {
    Region& region = *static_cast<Region*>(data);
    if (region.size() != region.count) return;
    region.work(region.next++);
  }

  static void run_after_start(Region* region) {
    region->start.wait(0);
    if (region->start > 0) region->work(region->next++);
  }

  void release(int value) {
    start = value;
    start.notify_all();
  }
};

template <class Work>
bool run_on_new_threads(Region<Work>& region) {
  std::vector<std::thread> threads;
  threads.reserve(region.count);
  try {
    for (int i = 1; i < region.count; ++i) threads.emplace_back(Region<Work>::run_after_start, &region);
    region.release(1);
    region.work(region.next++);
  } catch (const std::system_error&) {  // the system grants no more threads
    region.release(-1);
  }
  for (std::thread& thread : threads) thread.join();
  return region.start > 0;
}

// Run work(0) ... work(count - 1), all at the same time, so that they may wait for each other. Return false,
// with nothing done, if that many threads are not available.
template <class Work>
bool run_parallel(int count, const Work& work) {
  if (count == 1) {
    work(0);
    return true;
  }
  const OpenMp runtime = openmp();
  Region<Work> region{work, count, runtime.size};
  if (!runtime.fork || !runtime.size) return run_on_new_threads(region);
  runtime.fork(Region<Work>::run, &region, unsigned(count), 0);
  return region.next > 0;
}

}  // namespace holdfast
