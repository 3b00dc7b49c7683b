/* Dubbo frames, big endian: what client and backend of the bench need of the format.
   0 DA BB, 2 flags (80 request, 40 two way, 20 event, low bits 02 hessian2), 3 status (responses; 20 is ok), 4 id u64, 12 body length u32, 16 body.
   Body of a request: strings (framework version, service, version, method, descriptor), arguments, a map; of a reply: 0x94, a value, a map.
   A string of up to 31 bytes has its length before it, one of up to 1023 has it in the low bits of 0x30 and the next byte. */
#ifndef BENCH_DUBBO_H
#define BENCH_DUBBO_H

#include "net.h"

#define DUBBO_HEAD 16u
#define DUBBO_MAX_FRAME (16u << 20)
#define DUBBO_OK 20

enum { DUBBO_REQUEST = 0x80, DUBBO_TWO_WAY = 0x40, DUBBO_EVENT = 0x20, DUBBO_HESSIAN = 2 };
enum { DUBBO_VALUE = 0x94 };

/* Bytes of the frame at b, 0 if its head is not whole, -1 if it is none. */
static inline long dubbo_length(const uint8_t *b, size_t n) {
  if ((n > 0 && b[0] != 0xda) || (n > 1 && b[1] != 0xbb)) return -1;
  if (n < DUBBO_HEAD) return 0;
  uint32_t length = get32(b + 12);
  return length > DUBBO_MAX_FRAME ? -1 : (long)(DUBBO_HEAD + length);
}

/* Bytes of the string at b, its length included; 0 if it is not whole or none of those above. */
static inline size_t dubbo_string(const uint8_t *b, size_t n) {
  size_t size = n == 0 ? 0 : b[0] < 0x20 ? 1u + b[0] : n > 1 && b[0] >= 0x30 && b[0] < 0x34 ? 2u + ((b[0] - 0x30u) << 8 | b[1]) : 0;
  return size <= n ? size : 0;
}

static inline void dubbo_put_string(struct bytes *out, const char *text, size_t size) {
  uint8_t head[2] = {(uint8_t)size, 0};
  if (size > 31) {
    head[0] = (uint8_t)(0x30 + (size >> 8));
    head[1] = (uint8_t)size;
  }
  bytes_append(out, head, size > 31 ? 2 : 1);
  bytes_append(out, text, size);
}

/* The answer to the heartbeat at b: the same id and data. */
static inline void dubbo_heartbeat_ack(struct bytes *out, const uint8_t *b, size_t length) {
  uint8_t head[4] = {0xda, 0xbb, (uint8_t)(DUBBO_EVENT | (b[2] & 0x1f)), DUBBO_OK};
  bytes_append(out, head, 4);
  bytes_append(out, b + 4, length - 4);
}

#endif
