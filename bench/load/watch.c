/* Reads /proc/PID/stat, /proc/PID/statm and /proc/stat. Ticks are 10 ms on most systems, so windows under 1 s are coarse. */
#include "watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void watch_parse(struct watch *w, const char *list) {
  w->count = 0;
  while (*list != 0 && w->count < WATCH_PIDS) {
    char *end;
    long pid = strtol(list, &end, 10);
    if (end == list) break;
    if (pid > 0) w->pids[w->count++] = (int)pid;
    list = *end == ',' ? end + 1 : end;
  }
}

static int read_file(const char *path, char *to, size_t cap) {
  FILE *f = fopen(path, "r");
  if (f == NULL) return -1;
  size_t n = fread(to, 1, cap - 1, f);
  fclose(f);
  to[n] = 0;
  return (int)n;
}

void watch_read(const struct watch *w, struct watch_sample *s) {
  static char text[65536];
  char path[64];
  uint64_t tick_us = 1000000ull / (uint64_t)sysconf(_SC_CLK_TCK);
  uint64_t page_kb = (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
  memset(s, 0, sizeof *s);
  for (int i = 0; i < w->count; i++) {
    unsigned long user, system, size, resident;
    snprintf(path, sizeof path, "/proc/%d/stat", w->pids[i]);
    /* The command, in parentheses, may hold spaces: fields are counted from its last one. utime and stime are 14 and 15. */
    char *p = read_file(path, text, sizeof text) > 0 ? strrchr(text, ')') : NULL;
    if (p == NULL || sscanf(p + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu", &user, &system) != 2) {
      s->missing++;
      continue;
    }
    s->cpu_us += (user + system) * tick_us;
    snprintf(path, sizeof path, "/proc/%d/statm", w->pids[i]);
    if (read_file(path, text, sizeof text) > 0 && sscanf(text, "%lu %lu", &size, &resident) == 2) s->rss_kb += resident * page_kb;
  }
  if (read_file("/proc/stat", text, sizeof text) <= 0) return;
  for (char *line = text; line != NULL && *line != 0; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    unsigned core;
    unsigned long v[8];
    if (strncmp(line, "cpu", 3) != 0 || line[3] < '0' || line[3] > '9') continue; /* "cpu " is the sum of all */
    if (sscanf(line, "cpu%u %lu %lu %lu %lu %lu %lu %lu %lu", &core, v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7) != 9) continue;
    if (core < WATCH_CORES) s->core_us[core] = (v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) * tick_us;
  }
}
