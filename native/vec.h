// One vector of floats or doubles for each instruction set this library is compiled for, with the few operations that the
// kernels need. All of them are IEEE operations (fma, division and square root rounded once), so a kernel that fixes the
// order of its sums gives the same bits whatever the width.
#pragma once
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace {

template <class T> struct Vec;

#if defined(__AVX512F__)

constexpr int MR = 8;  // rows of a register tile; 3 vectors wide: 24 accumulators of 32 registers

template <> struct Vec<float> {
  typedef __m512 type;
  typedef __m512 input;
  static constexpr int width = 16;
  static __mmask16 first(int n) { return (__mmask16)((1u << n) - 1); }
  static type load(const float* p) { return _mm512_loadu_ps(p); }
  static type load(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store(float* p, type x) { _mm512_storeu_ps(p, x); }
  static void store(float* p, type x, int n) { _mm512_mask_storeu_ps(p, first(n), x); }
  static type set(float x) { return _mm512_set1_ps(x); }
  static type zero() { return set(0); }
  static type fma(type a, type b, type c) { return _mm512_fmadd_ps(a, b, c); }
  static type add(type a, type b) { return _mm512_add_ps(a, b); }
  static type mul(type a, type b) { return _mm512_mul_ps(a, b); }
  static type div(type a, type b) { return _mm512_div_ps(a, b); }
  static type sqrt(type a) { return _mm512_sqrt_ps(a); }
  static type max(type a, type b) { return _mm512_max_ps(a, b); }  // b where one is NaN
  static type where_positive(type x, type then) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ), then);
  }
};

template <> struct Vec<double> {
  typedef __m512d type;
  typedef __m512d input;
  static constexpr int width = 8;
  static __mmask8 first(int n) { return (__mmask8)((1u << n) - 1); }
  static type load(const double* p) { return _mm512_loadu_pd(p); }
  static type load(const double* p, int n) { return _mm512_maskz_loadu_pd(first(n), p); }
  static void store(double* p, type x) { _mm512_storeu_pd(p, x); }
  static void store(double* p, type x, int n) { _mm512_mask_storeu_pd(p, first(n), x); }
  static type set(double x) { return _mm512_set1_pd(x); }
  static type zero() { return set(0); }
  static type fma(type a, type b, type c) { return _mm512_fmadd_pd(a, b, c); }
  static type add(type a, type b) { return _mm512_add_pd(a, b); }
  static type mul(type a, type b) { return _mm512_mul_pd(a, b); }
  static type div(type a, type b) { return _mm512_div_pd(a, b); }
  static type sqrt(type a) { return _mm512_sqrt_pd(a); }
  static type max(type a, type b) { return _mm512_max_pd(a, b); }
  static type where_positive(type x, type then) {
    return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(x, _mm512_setzero_pd(), _CMP_GT_OQ), then);
  }
};

#if defined(__AVX512BF16__)
#define S2E_PAIRS
// Two bfloat16 numbers that follow each other along the sum; a product adds both to one float.
struct Pair {
  uint32_t both;
};

template <> struct Vec<Pair> {
  typedef __m512 type;
  typedef __m512bh input;
  static constexpr int width = 16;
  static input load(const Pair* p) { return (__m512bh)_mm512_loadu_si512(p); }
  static input set(Pair x) { return (__m512bh)_mm512_set1_epi32((int)x.both); }
  static type zero() { return _mm512_setzero_ps(); }
  static type fma(input a, input b, type c) { return _mm512_dpbf16_ps(c, a, b); }
};
#endif

#elif defined(__AVX2__)

constexpr int MR = 4;  // 12 accumulators of 16 registers

inline __m256i first_32(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline __m256i first_64(int n) { return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)); }

template <> struct Vec<float> {
  typedef __m256 type;
  typedef __m256 input;
  static constexpr int width = 8;
  static type load(const float* p) { return _mm256_loadu_ps(p); }
  static type load(const float* p, int n) { return _mm256_maskload_ps(p, first_32(n)); }
  static void store(float* p, type x) { _mm256_storeu_ps(p, x); }
  static void store(float* p, type x, int n) { _mm256_maskstore_ps(p, first_32(n), x); }
  static type set(float x) { return _mm256_set1_ps(x); }
  static type zero() { return set(0); }
  static type fma(type a, type b, type c) { return _mm256_fmadd_ps(a, b, c); }
  static type add(type a, type b) { return _mm256_add_ps(a, b); }
  static type mul(type a, type b) { return _mm256_mul_ps(a, b); }
  static type div(type a, type b) { return _mm256_div_ps(a, b); }
  static type sqrt(type a) { return _mm256_sqrt_ps(a); }
  static type max(type a, type b) { return _mm256_max_ps(a, b); }
  static type where_positive(type x, type then) {
    return _mm256_and_ps(_mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ), then);
  }
};

template <> struct Vec<double> {
  typedef __m256d type;
  typedef __m256d input;
  static constexpr int width = 4;
  static type load(const double* p) { return _mm256_loadu_pd(p); }
  static type load(const double* p, int n) { return _mm256_maskload_pd(p, first_64(n)); }
  static void store(double* p, type x) { _mm256_storeu_pd(p, x); }
  static void store(double* p, type x, int n) { _mm256_maskstore_pd(p, first_64(n), x); }
  static type set(double x) { return _mm256_set1_pd(x); }
  static type zero() { return set(0); }
  static type fma(type a, type b, type c) { return _mm256_fmadd_pd(a, b, c); }
  static type add(type a, type b) { return _mm256_add_pd(a, b); }
  static type mul(type a, type b) { return _mm256_mul_pd(a, b); }
  static type div(type a, type b) { return _mm256_div_pd(a, b); }
  static type sqrt(type a) { return _mm256_sqrt_pd(a); }
  static type max(type a, type b) { return _mm256_max_pd(a, b); }
  static type where_positive(type x, type then) {
    return _mm256_and_pd(_mm256_cmp_pd(x, _mm256_setzero_pd(), _CMP_GT_OQ), then);
  }
};

#elif defined(__aarch64__)

constexpr int MR = 8;

template <> struct Vec<float> {
  typedef float32x4_t type;
  typedef float32x4_t input;
  static constexpr int width = 4;
  static type load(const float* p) { return vld1q_f32(p); }
  static type load(const float* p, int n) {
    float whole[width] = {0};
    for (int i = 0; i < n; i++) whole[i] = p[i];
    return vld1q_f32(whole);
  }
  static void store(float* p, type x) { vst1q_f32(p, x); }
  static void store(float* p, type x, int n) {
    float whole[width];
    vst1q_f32(whole, x);
    for (int i = 0; i < n; i++) p[i] = whole[i];
  }
  static type set(float x) { return vdupq_n_f32(x); }
  static type zero() { return set(0); }
  static type fma(type a, type b, type c) { return vfmaq_f32(c, a, b); }
  static type add(type a, type b) { return vaddq_f32(a, b); }
  static type mul(type a, type b) { return vmulq_f32(a, b); }
  static type div(type a, type b) { return vdivq_f32(a, b); }
  static type sqrt(type a) { return vsqrtq_f32(a); }
  static type max(type a, type b) { return vmaxq_f32(a, b); }
  static type where_positive(type x, type then) {
    return vreinterpretq_f32_u32(vandq_u32(vcgtq_f32(x, vdupq_n_f32(0)), vreinterpretq_u32_f32(then)));
  }
};

template <> struct Vec<double> {
  typedef float64x2_t type;
  typedef float64x2_t input;
  static constexpr int width = 2;
  static type load(const double* p) { return vld1q_f64(p); }
  static type load(const double* p, int) { return vsetq_lane_f64(p[0], vdupq_n_f64(0), 0); }  // n is 1
  static void store(double* p, type x) { vst1q_f64(p, x); }
  static void store(double* p, type x, int) { vst1q_lane_f64(p, x, 0); }
  static type set(double x) { return vdupq_n_f64(x); }
  static type zero() { return set(0); }
  static type fma(type a, type b, type c) { return vfmaq_f64(c, a, b); }
  static type add(type a, type b) { return vaddq_f64(a, b); }
  static type mul(type a, type b) { return vmulq_f64(a, b); }
  static type div(type a, type b) { return vdivq_f64(a, b); }
  static type sqrt(type a) { return vsqrtq_f64(a); }
  static type max(type a, type b) { return vmaxq_f64(a, b); }
  static type where_positive(type x, type then) {
    return vreinterpretq_f64_u64(vandq_u64(vcgtq_f64(x, vdupq_n_f64(0)), vreinterpretq_u64_f64(then)));
  }
};

#endif

}  // namespace
