/* CPU time and memory of the processes under test, read at the very edges of the measured window, and how busy each core was. */
#ifndef BENCH_WATCH_H
#define BENCH_WATCH_H

#include <stdint.h>

#define WATCH_PIDS 64
#define WATCH_CORES 64

struct watch {
  int pids[WATCH_PIDS];
  int count;
};

struct watch_sample {
  uint64_t cpu_us;                /* user + system of all watched processes, their live and ended threads */
  uint64_t rss_kb;                /* sum of resident pages */
  int missing;                    /* watched processes that are gone */
  uint64_t core_us[WATCH_CORES];  /* time each core was not idle */
};

void watch_parse(struct watch *w, const char *list);
void watch_read(const struct watch *w, struct watch_sample *s);

#endif
