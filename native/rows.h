// What a step needs beside its matrix products: exponential and logarithm, ranks, transposition, sums. Plain loops that
// the compiler vectorises; each names its order of operations, so the results do not depend on the vector width.
#pragma once
#include <math.h>
#include <string.h>

#include "vec.h"

namespace {

template <class To, class From> inline To bits(From from) {
  To to;
  memcpy(&to, &from, sizeof(to));
  return to;
}

// exp(x) for x <= 0, below -87 as exp(-87): 2^n times a polynomial of degree 6 in the rest (Cephes). NaN stays NaN.
inline float exp_negative(float x) {
  x = x < -87.0f ? -87.0f : x;
  const float n = __builtin_fmaf(x, 1.44269504f, 12582912.0f) - 12582912.0f;  // rounded to a whole number
  float r = __builtin_fmaf(n, -0.693359375f, x);
  r = __builtin_fmaf(n, 2.12194440e-4f, r);
  float p = 1.9875691500e-4f;
  p = __builtin_fmaf(p, r, 1.3981999507e-3f);
  p = __builtin_fmaf(p, r, 8.3334519073e-3f);
  p = __builtin_fmaf(p, r, 4.1665795894e-2f);
  p = __builtin_fmaf(p, r, 1.6666665459e-1f);
  p = __builtin_fmaf(p, r, 5.0000001201e-1f);
  p = __builtin_fmaf(p, r * r, r) + 1.0f;
  return p * bits<float>((int32_t)(bits<uint32_t>(n + 12582912.0f) << 23) + 0x3f800000);
}
inline double exp_negative(double x) { return exp(x); }

// ln(x) for finite x >= 1 (Cephes). NaN and infinity stay what they are.
inline float log_above_one(float x) {
  const uint32_t whole = bits<uint32_t>(x);
  float m = bits<float>((whole & 0x007fffff) | 0x3f000000);  // x = m 2^e, 0.5 <= m < 1
  float e = (float)(int32_t)(whole >> 23) - 126.0f;
  const bool low = m < 0.707106781f;
  e = low ? e - 1.0f : e;
  m = (low ? m + m : m) - 1.0f;
  const float z = m * m;
  float p = 7.0376836292e-2f;
  p = __builtin_fmaf(p, m, -1.1514610310e-1f);
  p = __builtin_fmaf(p, m, 1.1676998740e-1f);
  p = __builtin_fmaf(p, m, -1.2420140846e-1f);
  p = __builtin_fmaf(p, m, 1.4249322787e-1f);
  p = __builtin_fmaf(p, m, -1.6668057665e-1f);
  p = __builtin_fmaf(p, m, 2.0000714765e-1f);
  p = __builtin_fmaf(p, m, -2.4999993993e-1f);
  p = __builtin_fmaf(p, m, 3.3333331174e-1f);
  p = __builtin_fmaf(e, -2.12194440e-4f, p * m * z);
  p = __builtin_fmaf(z, -0.5f, p);
  const float result = __builtin_fmaf(e, 0.693359375f, m + p);
  return x < 3.0e38f ? result : x;
}
inline double log_above_one(double x) { return log(x); }

// The sum of n numbers in 16 strands, and those in a tree.
template <class T> inline T sum(const T* x, int64_t n) {
  T strand[16] = {0};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int j = 0; j < 16; j++) strand[j] += x[i + j];
  for (; i < n; i++) strand[i % 16] += x[i];
  for (int half = 8; half; half /= 2)
    for (int j = 0; j < half; j++) strand[j] += strand[j + half];
  return strand[0];
}

// Numbers as unsigned keys of the same order, NaN above all.
inline uint32_t key(float x) {
  const uint32_t u = bits<uint32_t>(x + 0.0f);  // -0 becomes 0
  return x != x ? 0xffffffffu : u ^ ((u >> 31) ? 0xffffffffu : 0x80000000u);
}
inline uint64_t key(double x) {
  const uint64_t u = bits<uint64_t>(x + 0.0);
  return x != x ? ~(uint64_t)0 : u ^ ((u >> 63) ? ~(uint64_t)0 : (uint64_t)1 << 63);
}

// Samples by growing loss, equal losses in batch order: a radix sort, byte by byte. scratch: 2 n keys and n numbers.
template <class T> void order_of(const T* loss, int32_t n, int32_t* order, char* scratch) {
  typedef decltype(key(T())) Key;
  Key* keys = (Key*)scratch;
  Key* next_keys = keys + n;
  int32_t* next_order = (int32_t*)(next_keys + n);
  for (int32_t b = 0; b < n; b++) {
    keys[b] = key(loss[b]);
    order[b] = b;
  }
  for (unsigned byte = 0; byte < sizeof(Key); byte++) {
    int32_t at[257] = {0};
    for (int32_t b = 0; b < n; b++) at[1 + ((keys[b] >> (8 * byte)) & 255)]++;
    for (int i = 0; i < 256; i++) at[i + 1] += at[i];
    for (int32_t b = 0; b < n; b++) {
      const int32_t to = at[(keys[b] >> (8 * byte)) & 255]++;
      next_keys[to] = keys[b];
      next_order[to] = order[b];
    }
    memcpy(keys, next_keys, n * sizeof(Key));
    memcpy(order, next_order, n * sizeof(int32_t));
  }
}

#if defined(__AVX2__)
inline void transpose_8x8(const float* from, int64_t from_row, float* to, int64_t to_row) {
  __m256 r[8], t[8];
  for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(from + i * from_row);
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int i = 0; i < 4; i++) {
    _mm256_storeu_ps(to + i * to_row, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
    _mm256_storeu_ps(to + (i + 4) * to_row, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
  }
}
#else
inline void transpose_8x8(const float* from, int64_t from_row, float* to, int64_t to_row) {
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < 8; j++) to[j * to_row + i] = from[i * from_row + j];
}
#endif
inline void transpose_8x8(const double* from, int64_t from_row, double* to, int64_t to_row) {
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < 8; j++) to[j * to_row + i] = from[i * from_row + j];
}

// to[j][i] = from[i][j] for all i < n_rows, j < n_columns.
template <class T>
void transpose(const T* from, int64_t n_rows, int64_t n_columns, int64_t from_row, T* to, int64_t to_row) {
  for (int64_t i = 0; i < n_rows; i += 8)
    for (int64_t j = 0; j < n_columns; j += 8) {
      if (i + 8 <= n_rows && j + 8 <= n_columns) {
        transpose_8x8(from + i * from_row + j, from_row, to + j * to_row + i, to_row);
        continue;
      }
      for (int64_t a = i; a < n_rows && a < i + 8; a++)
        for (int64_t b = j; b < n_columns && b < j + 8; b++) to[b * to_row + a] = from[a * from_row + b];
    }
}

}  // namespace
