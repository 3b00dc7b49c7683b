/* Latency histogram: 128 linear buckets for each power of two of nanoseconds (at most 0.8 % off), fixed memory. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>
#include <string.h>

#define HISTOGRAM_BITS 7
#define HISTOGRAM_SIZE ((64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

struct histogram {
  uint64_t count, sum, max;
  uint64_t bucket[HISTOGRAM_SIZE];
};

static inline void histogram_clear(struct histogram *h) { memset(h, 0, sizeof *h); }

static inline unsigned histogram_index(uint64_t v) {
  if (v < 1u << (HISTOGRAM_BITS + 1)) return (unsigned)v;
  unsigned shift = 63u - (unsigned)__builtin_clzll(v) - HISTOGRAM_BITS;
  return (shift << HISTOGRAM_BITS) + (unsigned)(v >> shift);
}

/* The highest value that falls into a bucket. */
static inline uint64_t histogram_value(unsigned index) {
  if (index < 1u << (HISTOGRAM_BITS + 1)) return index;
  unsigned shift = (index >> HISTOGRAM_BITS) - 1;
  uint64_t low = (uint64_t)(index - (shift << HISTOGRAM_BITS)) << shift;
  return low + ((1ull << shift) - 1);
}

static inline void histogram_add(struct histogram *h, uint64_t v) {
  h->bucket[histogram_index(v)]++;
  h->count++;
  h->sum += v;
  if (v > h->max) h->max = v;
}

/* The value that `share` (0 to 1) of the samples do not exceed; never above the true maximum. */
static inline uint64_t histogram_quantile(const struct histogram *h, double share) {
  if (h->count == 0) return 0;
  uint64_t rank = (uint64_t)(share * (double)h->count + 0.5);
  if (rank < 1) rank = 1;
  if (rank > h->count) rank = h->count;
  uint64_t seen = 0;
  for (unsigned i = 0; i < HISTOGRAM_SIZE; i++) {
    seen += h->bucket[i];
    if (seen >= rank) {
      uint64_t v = histogram_value(i);
      return v > h->max ? h->max : v;
    }
  }
  return h->max;
}

#endif
