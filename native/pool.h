// The largest of each 2 x 2 pixels, and ReLU of it if asked: images of [B, H, W, channels], float or bfloat16. One byte
// says which of the four it was (or that ReLU cut it off), so the way back writes each gradient once. Ties go to the
// first, NaN wins, as torch has it.
#pragma once
#include <string.h>

#include <type_traits>

#include "rows.h"

namespace {

constexpr uint8_t CUT_OFF = 4;

inline float number(float x) { return x; }
inline float number(uint16_t half) { return bits<float>((uint32_t)half << 16); }
inline void put(float& to, float x) { to = x; }
inline void put(uint16_t& to, float x) { to = (uint16_t)(bits<uint32_t>(x) >> 16); }

// One channel of one pixel of the result.
template <class T>
inline void pool_channels(std::integral_constant<int, 1>, const T* upper, const T* lower, T* out, uint8_t* which,
                          int64_t n_channels, bool relu) {
  const T pixel[4] = {upper[0], upper[n_channels], lower[0], lower[n_channels]};
  float most = number(pixel[0]);
  uint8_t place = 0;
  for (uint8_t i = 1; i < 4; i++) {
    const float other = number(pixel[i]);
    if (!(other <= most) && most == most) most = other, place = i;
  }
  const bool cut = relu && most <= 0;
  put(out[0], cut ? 0 : most);
  which[0] = cut ? CUT_OFF : place;
}

// The way back of one channel of one pixel: each of its four gets the gradient or zero.
template <class T>
inline void spread_channels(std::integral_constant<int, 1>, const T* gradient, const uint8_t* which, T* upper, T* lower,
                            int64_t n_channels) {
  T* to[4] = {upper, upper + n_channels, lower, lower + n_channels};
  for (int i = 0; i < 4; i++) to[i][0] = which[0] == i ? gradient[0] : (T)0;
}

#if defined(__AVX2__)

inline __m256 eight(const float* p) { return _mm256_loadu_ps(p); }
inline __m256 eight(const uint16_t* p) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
inline __m128i narrow(__m256i x) {  // eight numbers below 2^16
  return _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}
inline void put_eight(float* p, __m256 x) { _mm256_storeu_ps(p, x); }
inline void put_eight(uint16_t* p, __m256 x) {
  _mm_storeu_si128((__m128i*)p, narrow(_mm256_srli_epi32(_mm256_castps_si256(x), 16)));
}

// The same for eight channels.
template <class T>
inline void pool_channels(std::integral_constant<int, 8>, const T* upper, const T* lower, T* out, uint8_t* which,
                          int64_t n_channels, bool relu) {
  __m256 most = eight(upper), place = _mm256_setzero_ps();
  const T* others[3] = {upper + n_channels, lower, lower + n_channels};
  for (int i = 0; i < 3; i++) {
    const __m256 other = eight(others[i]);
    const __m256 wins = _mm256_and_ps(_mm256_cmp_ps(other, most, _CMP_NLE_UQ), _mm256_cmp_ps(most, most, _CMP_ORD_Q));
    place = _mm256_blendv_ps(place, _mm256_castsi256_ps(_mm256_set1_epi32(i + 1)), wins);
    most = _mm256_blendv_ps(most, other, wins);
  }
  if (relu) {
    const __m256 cut = _mm256_cmp_ps(most, _mm256_setzero_ps(), _CMP_LE_OQ);
    place = _mm256_blendv_ps(place, _mm256_castsi256_ps(_mm256_set1_epi32(CUT_OFF)), cut);
    most = _mm256_andnot_ps(cut, most);
  }
  put_eight(out, most);
  const __m128i bytes = narrow(_mm256_castps_si256(place));
  _mm_storel_epi64((__m128i*)which, _mm_packus_epi16(bytes, bytes));
}

inline void spread_channels(std::integral_constant<int, 8>, const float* gradient, const uint8_t* which, float* upper,
                            float* lower, int64_t n_channels) {
  const __m256i g = _mm256_loadu_si256((const __m256i*)gradient);
  const __m256i place = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)which));
  float* to[4] = {upper, upper + n_channels, lower, lower + n_channels};
  for (int i = 0; i < 4; i++)
    _mm256_storeu_si256((__m256i*)to[i], _mm256_and_si256(g, _mm256_cmpeq_epi32(place, _mm256_set1_epi32(i))));
}
inline void spread_channels(std::integral_constant<int, 8>, const uint16_t* gradient, const uint8_t* which,
                            uint16_t* upper, uint16_t* lower, int64_t n_channels) {
  const __m128i g = _mm_loadu_si128((const __m128i*)gradient);
  const __m128i place = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i*)which));
  uint16_t* to[4] = {upper, upper + n_channels, lower, lower + n_channels};
  for (int i = 0; i < 4; i++)
    _mm_storeu_si128((__m128i*)to[i], _mm_and_si128(g, _mm_cmpeq_epi16(place, _mm_set1_epi16((short)i))));
}

constexpr int AT_ONCE = 8;
#else
constexpr int AT_ONCE = 1;
#endif

// All channels of a pixel, some at a time; the last ones may overlap those before, which changes nothing.
template <class Work> inline void by_channels(int64_t n_channels, Work work) {
  if (n_channels < AT_ONCE) {
    for (int64_t c = 0; c < n_channels; c++) work(std::integral_constant<int, 1>{}, c);
    return;
  }
  for (int64_t c = 0; c + AT_ONCE < n_channels; c += AT_ONCE) work(std::integral_constant<int, AT_ONCE>{}, c);
  work(std::integral_constant<int, AT_ONCE>{}, n_channels - AT_ONCE);
}

template <class T>
void pool_forward(const T* x, T* out, uint8_t* which, int64_t n_images, int64_t height, int64_t width,
                  int64_t n_channels, bool relu) {
  const int64_t row = width * n_channels;
  for (int64_t b = 0; b < n_images; b++)
    for (int64_t y = 0; y < height / 2; y++) {
      const T* from = x + (b * height + 2 * y) * row;
      for (int64_t at = 0; at < width / 2; at++, from += 2 * n_channels, out += n_channels, which += n_channels)
        by_channels(n_channels, [&](auto n, int64_t c) {
          pool_channels(n, from + c, from + row + c, out + c, which + c, n_channels, relu);
        });
    }
}

template <class T>
void pool_backward(const T* gradient, const uint8_t* which, T* to, int64_t n_images, int64_t height, int64_t width,
                   int64_t n_channels) {
  const int64_t row = width * n_channels;
  for (int64_t b = 0; b < n_images; b++) {
    if (height % 2) memset(to + ((b + 1) * height - 1) * row, 0, row * sizeof(T));
    for (int64_t y = 0; y < height / 2; y++) {
      T* line = to + (b * height + 2 * y) * row;
      if (width % 2) {
        memset(line + row - n_channels, 0, n_channels * sizeof(T));
        memset(line + 2 * row - n_channels, 0, n_channels * sizeof(T));
      }
      for (int64_t at = 0; at < width / 2; at++) {
        T* first = line + 2 * at * n_channels;
        by_channels(n_channels, [&](auto n, int64_t c) {
          spread_channels(n, gradient + c, which + c, first + c, first + row + c, n_channels);
        });
        gradient += n_channels;
        which += n_channels;
      }
    }
  }
}

}  // namespace
