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

// Runs a function on a team of threads, and the size of the team within it.
struct OpenMp {
  void (*fork)(void (*run)(void*), void* data, unsigned threads, unsigned flags) = nullptr;
  int (*size)() = nullptr;
};

// Null where there is no such runtime, and in a forked process, in which its threads are gone and it would
// wait for them for ever.
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

template <class Work>
struct Team {
  const Work& work;
  const int count;
  int (*size)();
  std::atomic<int> next{0};
  std::atomic<int> go{0};  // without OpenMP: 1 run, -1 go home

  static void run(void* data) {
    Team& team = *static_cast<Team*>(data);
    if (team.size() != team.count) return;
    team.work(team.next++);
  }

  static void run_when_told(Team* team) {
    while (team->go == 0) std::this_thread::yield();
    if (team->go > 0) team->work(team->next++);
  }
};

template <class Work>
bool on_new_threads(Team<Work>& team) {
  std::vector<std::thread> threads;
  threads.reserve(team.count);
  try {
    for (int i = 1; i < team.count; ++i) threads.emplace_back(Team<Work>::run_when_told, &team);
    team.go = 1;
    team.work(team.next++);
  } catch (const std::system_error&) {  // the system grants no more threads
    team.go = -1;
  }
  for (std::thread& thread : threads) thread.join();
  return team.go > 0;
}

// work(0) ... work(count - 1), all at the same time, so that they may wait for each other. False, with
// nothing done, where that many threads are not to be had.
template <class Work>
bool together(int count, const Work& work) {
  if (count == 1) {
    work(0);
    return true;
  }
  const OpenMp runtime = openmp();
  Team<Work> team{work, count, runtime.size};
  if (!runtime.fork || !runtime.size) return on_new_threads(team);
  runtime.fork(Team<Work>::run, &team, unsigned(count), 0);
  return team.next > 0;
}

}  // namespace holdfast
