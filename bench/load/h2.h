/* HTTP/2 frames (RFC 9113) as client and backend of the bench need them: nine bytes of head, and header blocks that were made by hand. */
#ifndef BENCH_H2_H
#define BENCH_H2_H

#include "net.h"

#define H2_HEAD 9
#define H2_MAX_FRAME 16384
#define H2_DATA 0
#define H2_HEADERS 1
#define H2_RST_STREAM 3
#define H2_SETTINGS 4
#define H2_PING 6
#define H2_GOAWAY 7
#define H2_WINDOW_UPDATE 8
#define H2_CONTINUATION 9
#define H2_ACK 1
#define H2_END_STREAM 1
#define H2_END_HEADERS 4
#define H2_PADDED 8
#define H2_PRIORITY 32
#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_PREFACE_SIZE 24
/* What is granted at once: far more than is under way; granted again in steps of this. */
#define H2_WINDOW 0x3fffffffu
#define H2_GRANT (1u << 24)
/* Before its content a gRPC message has: compressed or not, and its length (32). */
#define GRPC_PREFIX 5

static inline uint32_t h2_length(const uint8_t *f) { return (uint32_t)f[0] << 16 | (uint32_t)f[1] << 8 | f[2]; }
static inline uint32_t h2_stream(const uint8_t *f) { return get32(f + 5) & 0x7fffffff; }

static inline void h2_frame(struct bytes *out, uint32_t length, uint8_t type, uint8_t flags, uint32_t stream) {
  uint8_t *f = bytes_room(out, H2_HEAD);
  f[0] = (uint8_t)(length >> 16);
  put16(f + 1, length);
  f[3] = type;
  f[4] = flags;
  put32(f + 5, stream);
  out->end += H2_HEAD;
}

static inline void h2_word(struct bytes *out, uint8_t type, uint32_t stream, uint32_t value) {
  uint8_t word[4];
  put32(word, value);
  h2_frame(out, 4, type, 0, stream);
  bytes_append(out, word, 4);
}

/* SETTINGS with wide windows for streams, and as wide a one for the connection. */
static inline void h2_begin(struct bytes *out) {
  static const uint8_t settings[] = {0, 3, 0, 0, 0x10, 0, 0, 4, H2_WINDOW >> 24, 0xff, 0xff, 0xff};
  h2_frame(out, sizeof settings, H2_SETTINGS, 0, 0);
  bytes_append(out, settings, sizeof settings);
  h2_word(out, H2_WINDOW_UPDATE, 0, H2_WINDOW - 65535);
}

/* Answers what has to be answered at once; true when the frame was one of those, or says nothing to us. */
static inline bool h2_control(struct bytes *out, const uint8_t *f, uint32_t length) {
  switch (f[3]) {
    case H2_SETTINGS:
      if (!(f[4] & H2_ACK)) h2_frame(out, 0, H2_SETTINGS, H2_ACK, 0);
      return true;
    case H2_PING:
      if (!(f[4] & H2_ACK)) {
        h2_frame(out, length, H2_PING, H2_ACK, 0);
        bytes_append(out, f + H2_HEAD, length);
      }
      return true;
    case H2_WINDOW_UPDATE:
    case 2: /* PRIORITY */
      return true;
    default:
      return f[3] > H2_CONTINUATION;
  }
}

/* A literal that enters the dynamic table; `name` is an index of the static one, or 0 with `text` as the name. Strings below 127 bytes. */
static inline void h2_literal(struct bytes *block, uint8_t name, const char *text, const char *value) {
  uint8_t first = (uint8_t)(0x40 | name);
  bytes_append(block, &first, 1);
  if (name == 0) {
    uint8_t n = (uint8_t)strlen(text);
    bytes_append(block, &n, 1);
    bytes_append(block, text, n);
  }
  uint8_t n = (uint8_t)strlen(value);
  bytes_append(block, &n, 1);
  bytes_append(block, value, n);
}

static inline void h2_indexed(struct bytes *block, uint8_t index) {
  index |= 0x80;
  bytes_append(block, &index, 1);
}

#endif
