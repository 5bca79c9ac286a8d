// C = A B for small matrices that lie in the caches, each element summed over k in order by one accumulator: the result
// does not depend on the vector width or on how the matrix is cut into tiles.
//
// A is read one element at a time, at m * a_row + k * a_column, so it may lie either way round; B has rows of ldb
// elements, readable up to the next full vector. What becomes of a tile is the epilogue's: it gets whole vectors of C
// and the number of their elements that count.
#pragma once
#include "vec.h"

namespace {

constexpr int NV = 3;  // vectors of a register tile

template <class T, int nv, class Epilogue>
__attribute__((always_inline)) inline void tile(
    int64_t m0, int rows, int64_t n0, int64_t n_columns, int64_t n_k, const T* a, int64_t a_row, int64_t a_column,
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
  const T* at = b + n0;
  epilogue.template prefetch<nv * V::width>(m0, rows, n0);
  for (int64_t k = 0; k < n_k; k++, at += ldb) {
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

template <class T, class Epilogue>
void gemm(int64_t n_rows, int64_t n_columns, int64_t n_k, const T* a, int64_t a_row, int64_t a_column, const T* b,
          int64_t ldb, Epilogue epilogue) {
  constexpr int width = Vec<T>::width;
  for (int64_t m0 = 0; m0 < n_rows; m0 += MR) {
    const int rows = n_rows - m0 < MR ? (int)(n_rows - m0) : MR;
    for (int64_t n0 = 0; n0 < n_columns;) {
      const int64_t left = (n_columns - n0 + width - 1) / width;
      const int nv = left == 4 ? 2 : left < NV ? (int)left : NV;  // 2 + 2 rather than 3 + 1
      switch (nv) {
        case 3: tile<T, 3>(m0, rows, n0, n_columns, n_k, a, a_row, a_column, b, ldb, epilogue); break;
        case 2: tile<T, 2>(m0, rows, n0, n_columns, n_k, a, a_row, a_column, b, ldb, epilogue); break;
        default: tile<T, 1>(m0, rows, n0, n_columns, n_k, a, a_row, a_column, b, ldb, epilogue); break;
      }
      n0 += nv * width;
    }
  }
}

}  // namespace
