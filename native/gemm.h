// C = A B for small matrices that lie in the caches, each element summed over k in order by one accumulator: the result
// does not depend on the vector width or on how the matrix is cut into tiles.
//
// A is read one element at a time, at m * a_row + k * a_column, so it may lie either way round; B has rows of ldb
// elements, readable up to the next full vector. What becomes of a tile is the epilogue's: it gets whole vectors of C
// and the number of their elements that count.
//
// Where columns of A are zero in all rows, as the gradients of samples that are not kept, their terms may be left out:
// adding zero changes no bit of a sum that began at zero.
#pragma once
#include "vec.h"

namespace {

constexpr int NV = 3;  // vectors of a register tile

// Vectors of the tile at column n0.
template <class T> inline int tile_width(int64_t n0, int64_t n_columns) {
  const int64_t left = (n_columns - n0 + Vec<T>::width - 1) / Vec<T>::width;
  return left == 4 ? 2 : left < NV ? (int)left : NV;  // 2 + 2 rather than 3 + 1
}

// The terms of a sum: all n, or those listed.
struct Terms {
  int64_t n;
  const int32_t* k;
};

template <class T, int nv, bool listed, class Epilogue>
__attribute__((always_inline)) inline void tile(
    int64_t m0, int rows, int64_t n0, int64_t n_columns, Terms terms, const T* a, int64_t a_row, int64_t a_column,
    const T* b, int64_t ldb, Epilogue& epilogue) {
  typedef Vec<T> V;
  typename V::type sum[MR][nv];
  const T* row[MR];
#pragma GCC unroll 16
  for (int r = 0; r < MR; r++) {
    row[r] = a + (m0 + (r < rows ? r : rows - 1)) * a_row;  // a row too many repeats the last and is not stored
#pragma GCC unroll 4
    for (int v = 0; v < nv; v++) sum[r][v] = V::zero();
  }
  epilogue.template prefetch<nv * V::width>(m0, rows, n0);
  for (int64_t i = 0; i < terms.n; i++) {
    const int64_t k = listed ? terms.k[i] : i;
    const T* at = b + n0 + k * ldb;
    typename V::input right[nv];
#pragma GCC unroll 4
    for (int v = 0; v < nv; v++) right[v] = V::load(at + v * V::width);
    const int64_t left_at = k * a_column;
#pragma GCC unroll 16
    for (int r = 0; r < MR; r++) {
      const typename V::input left = V::set(row[r][left_at]);
#pragma GCC unroll 4
      for (int v = 0; v < nv; v++) sum[r][v] = V::fma(left, right[v], sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < MR; r++) {
    if (r >= rows) break;
#pragma GCC unroll 4
    for (int v = 0; v < nv; v++) {
      const int64_t n = n0 + v * V::width;
      const int64_t left = n_columns - n;
      epilogue(m0 + r, n, left < V::width ? (int)left : V::width, sum[r][v]);
    }
  }
}

template <class T, bool listed, class Epilogue>
void gemm_of(int64_t n_rows, int64_t n_columns, Terms terms, const T* a, int64_t a_row, int64_t a_column, const T* b,
             int64_t ldb, Epilogue epilogue) {
  for (int64_t m0 = 0; m0 < n_rows; m0 += MR) {
    const int rows = n_rows - m0 < MR ? (int)(n_rows - m0) : MR;
    for (int64_t n0 = 0; n0 < n_columns;) {
      const int nv = tile_width<T>(n0, n_columns);
      switch (nv) {
        case 3: tile<T, 3, listed>(m0, rows, n0, n_columns, terms, a, a_row, a_column, b, ldb, epilogue); break;
        case 2: tile<T, 2, listed>(m0, rows, n0, n_columns, terms, a, a_row, a_column, b, ldb, epilogue); break;
        default: tile<T, 1, listed>(m0, rows, n0, n_columns, terms, a, a_row, a_column, b, ldb, epilogue); break;
      }
      n0 += nv * Vec<T>::width;
    }
  }
}

template <class T, class Epilogue>
void gemm(int64_t n_rows, int64_t n_columns, Terms terms, const T* a, int64_t a_row, int64_t a_column, const T* b,
          int64_t ldb, Epilogue epilogue) {
  if (terms.k)
    gemm_of<T, true>(n_rows, n_columns, terms, a, a_row, a_column, b, ldb, epilogue);
  else
    gemm_of<T, false>(n_rows, n_columns, terms, a, a_row, a_column, b, ldb, epilogue);
}

}  // namespace
