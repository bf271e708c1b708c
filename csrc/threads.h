// Work shared out to threads: those of GNU's OpenMP runtime where the process has one (torch brings it),
// since a pool of our own would compete with torch's for the cores; otherwise threads that live for one call.
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
inline const int watched = pthread_atfork(nullptr, nullptr, [] { forked = true; });
#endif

using Fork = void (*)(void (*run)(void*), void* data, unsigned threads, unsigned flags);

// Runs a function on a team of threads; null where there is no such runtime, and in a forked process, in
// which its threads are gone and it would wait for them for ever.
inline Fork openmp() {
#ifdef __linux__
  static const Fork found = reinterpret_cast<Fork>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  return forked ? nullptr : found;
#else
  return nullptr;
#endif
}

// Takes numbers until none is left, so that fewer threads than asked for do all the work.
template <class Work>
struct Team {
  const Work& work;
  const int count;
  std::atomic<int> next{0};

  static void run(void* data) {
    Team& team = *static_cast<Team*>(data);
    for (int i = team.next++; i < team.count; i = team.next++) team.work(i);
  }
};

inline void on_new_threads(int count, void (*run)(void*), void* data) {
  std::vector<std::thread> threads;
  threads.reserve(count);
  try {
    for (int i = 1; i < count; ++i) threads.emplace_back(run, data);
  } catch (const std::system_error&) {  // the system grants no more threads
  }
  run(data);
  for (std::thread& thread : threads) thread.join();
}

// work(0) ... work(count - 1), each once, on up to ``count`` threads; returns when all are done.
template <class Work>
void parallel(int count, const Work& work) {
  Team<Work> team{work, count};
  if (count == 1)
    team.run(&team);
  else if (const Fork fork = openmp())
    fork(team.run, &team, unsigned(count), 0);
  else
    on_new_threads(count, team.run, &team);
}

}  // namespace holdfast
