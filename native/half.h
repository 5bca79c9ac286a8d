// The first layer in bfloat16, sums in float: its two products are most of the work of a step on wide inputs. Weights and
// moments stay float; a copy of the weights in bfloat16 moves along with them.
//
// Operands lie in pairs along the sum, as the processors want them. With AMX a product takes tiles of 16 x 16 sums.
#pragma once
#include <string.h>

#include "gemm.h"

#if defined(S2E_PAIRS)

namespace {

constexpr int TILE = 32;  // rows, columns and depth are padded to this: two AMX tiles

inline int64_t tiled(int64_t n) { return (n + TILE - 1) / TILE * TILE; }

// Rounded to the nearest, to even; NaN stays NaN.
inline uint16_t half_of(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof(u));
  const uint32_t rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
  return (uint16_t)(x != x ? (u >> 16) | 0x40 : rounded);
}
inline uint32_t pair_of(float first, float second) {
  return (uint32_t)half_of(first) | (uint32_t)half_of(second) << 16;
}

#if defined(__AMX_BF16__)

struct TileShape {
  uint8_t palette = 1, start_row = 0, reserved[14] = {0};
  uint16_t row_bytes[16] = {0};
  uint8_t rows[16] = {0};
};

inline void shape_tiles() {
  TileShape shape;
  for (int i = 0; i < 8; i++) {
    shape.row_bytes[i] = 64;
    shape.rows[i] = 16;
  }
  _tile_loadconfig(&shape);
}

// As gemm, of pairs: A [rows, pairs] with a_row pairs a row, B [pairs, columns] with ldb, all padded to TILE.
template <class Epilogue>
void gemm_pairs(int64_t n_rows, int64_t n_columns, int64_t n_pairs, const Pair* a, int64_t a_row, const Pair* b,
                int64_t ldb, Epilogue epilogue) {
  alignas(64) float sums[TILE][TILE];
  constexpr int width = Vec<float>::width;
  shape_tiles();
  for (int64_t m0 = 0; m0 < n_rows; m0 += TILE)
    for (int64_t n0 = 0; n0 < n_columns; n0 += TILE) {
      const int rows = n_rows - m0 < TILE ? (int)(n_rows - m0) : TILE;
      epilogue.template prefetch<TILE>(m0, rows, n0);
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      for (int64_t k = 0; k < n_pairs; k += 16) {
        _tile_loadd(4, a + m0 * a_row + k, a_row * sizeof(Pair));
        _tile_loadd(5, a + (m0 + 16) * a_row + k, a_row * sizeof(Pair));
        _tile_loadd(6, b + k * ldb + n0, ldb * sizeof(Pair));
        _tile_loadd(7, b + k * ldb + n0 + 16, ldb * sizeof(Pair));
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
      _tile_stored(0, &sums[0][0], sizeof(sums[0]));
      _tile_stored(1, &sums[0][16], sizeof(sums[0]));
      _tile_stored(2, &sums[16][0], sizeof(sums[0]));
      _tile_stored(3, &sums[16][16], sizeof(sums[0]));
      for (int r = 0; r < rows; r++)
        for (int64_t n = n0; n < n0 + TILE && n < n_columns; n += width)
          epilogue(m0 + r, n, n_columns - n < width ? (int)(n_columns - n) : width, _mm512_load_ps(&sums[r][n - n0]));
    }
  _tile_release();
}

#else

template <class Epilogue>
void gemm_pairs(int64_t n_rows, int64_t n_columns, int64_t n_pairs, const Pair* a, int64_t a_row, const Pair* b,
                int64_t ldb, Epilogue epilogue) {
  gemm(n_rows, n_columns, Terms{n_pairs, nullptr}, a, a_row, (int64_t)1, b, ldb, epilogue);
}

#endif

}  // namespace

#endif
