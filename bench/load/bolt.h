/* Bolt v1 frames, big endian: what client and backend of the bench need of the format.
   Request: 0 protocol=1, 1 type (1 request, 2 one way), 2 command u16 (0 heartbeat, 1 request, 100 go away), 4 version=1, 5 id u32, 9 codec=1,
   10 timeout ms i32, 14 class length u16, 16 header length u16, 18 content length u32, 22 class, header, content.
   Response: the same up to 9 with type 0 and command 2 (0 for a heartbeat), 10 status u16, 12 class length, 14 header length, 16 content length u32, 20 ...
   Header map: pairs of u32 length + bytes for key and value. */
#ifndef BENCH_BOLT_H
#define BENCH_BOLT_H

#include "net.h"

#define BOLT_REQUEST_HEAD 22u
#define BOLT_RESPONSE_HEAD 20u
#define BOLT_REQUEST_CLASS "com.alipay.sofa.rpc.core.request.SofaRequest"
#define BOLT_RESPONSE_CLASS "com.alipay.sofa.rpc.core.response.SofaResponse"
#define BOLT_MAX_FRAME (16u << 20)

enum { BOLT_RESPONSE = 0, BOLT_REQUEST = 1, BOLT_ONEWAY = 2 };
enum { BOLT_HEARTBEAT = 0, BOLT_CALL = 1, BOLT_REPLY = 2, BOLT_GOAWAY = 100 };

/* Bytes of the frame at b, 0 if its head is not whole, -1 if it is none. */
static inline long bolt_length(const uint8_t *b, size_t n) {
  if (n > 0 && b[0] != 1) return -1;
  if (n < BOLT_RESPONSE_HEAD) return 0;
  uint64_t length;
  if (b[1] == BOLT_RESPONSE) length = BOLT_RESPONSE_HEAD + (uint64_t)get16(b + 12) + get16(b + 14) + get32(b + 16);
  else if (b[1] > BOLT_ONEWAY) return -1;
  else if (n < BOLT_REQUEST_HEAD) return 0;
  else length = BOLT_REQUEST_HEAD + (uint64_t)get16(b + 14) + get16(b + 16) + get32(b + 18);
  return length > BOLT_MAX_FRAME ? -1 : (long)length;
}

static inline void bolt_heartbeat_ack(struct bytes *out, uint32_t id) {
  uint8_t b[BOLT_RESPONSE_HEAD] = {1, BOLT_RESPONSE, 0, BOLT_HEARTBEAT, 1};
  put32(b + 5, id);
  b[9] = 1;
  bytes_append(out, b, sizeof b);
}

#endif
