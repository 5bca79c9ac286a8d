// The first layer's two products where most inputs are zero, as the background of an image is: sums over those inputs,
// or samples, alone that are not zero. Adding zero changes no bit of a sum that began at zero, and the order is that of
// gemm.h, so the numbers are the same.
//
// A product is taken two rows at a time, over the terms that either of them has, and by blocks of columns for which the
// other operand is packed: SPARSE_VECTORS vectors for each term.
#pragma once
#include "rows.h"
#include "vec.h"

// A compiler would rather load it for each of the two products, and loads are what limits them.
#if defined(__aarch64__)
#define KEEP_IN_REGISTER(x) asm("" : "+w"(x))
#else
#define KEEP_IN_REGISTER(x) asm("" : "+x"(x))
#endif

namespace {

constexpr int SPARSE_VECTORS = 6;  // 12 accumulators of two rows
constexpr double MOST_TERMS = 0.6;  // of all, above which gemm.h is faster

template <class T> constexpr int64_t block_row() { return SPARSE_VECTORS * Vec<T>::width; }

// For each pair of rows the terms that either of them has, ``room`` places for each.
struct PairTerms {
  int32_t *k, *count;
  int64_t room;
};

// Pairs of samples and the inputs they have; how many terms of all.
template <class T>
double list_inputs(const T* x, int64_t x_row, int64_t n_samples, int64_t n_inputs, PairTerms terms) {
  int64_t total = 0;
  for (int64_t b = 0; b < n_samples; b += 2) {
    const T *first = x + b * x_row, *second = b + 1 < n_samples ? first + x_row : first;
    int32_t* k_of = terms.k + b / 2 * terms.room;
    int32_t n = 0;
    for (int64_t i = 0; i < n_inputs; i++) {
      k_of[n] = (int32_t)i;
      n += (first[i] != 0) | (second[i] != 0);
    }
    total += terms.count[b / 2] = n;
  }
  return (double)total / ((n_samples + 1) / 2 * n_inputs);
}

// Pairs of inputs and the samples that have them. Inputs past the last are zero.
template <class T>
void list_samples(const T* x, int64_t x_row, int64_t n_samples, int64_t n_inputs, PairTerms terms) {
  const int64_t n_pairs = (n_inputs + 1) / 2;
  for (int64_t p = 0; p < n_pairs; p++) terms.count[p] = 0;
  for (int64_t b = 0; b < n_samples; b++)
    for (int64_t p = 0; p < n_pairs; p++) {
      const T* two = x + b * x_row + 2 * p;
      terms.k[p * terms.room + terms.count[p]] = (int32_t)b;
      terms.count[p] += (two[0] != 0) | (two[1] != 0);
    }
}

// Those of ``from`` that are kept.
inline void list_kept(int64_t n_pairs, PairTerms from, const int32_t* is_kept, PairTerms to) {
  for (int64_t p = 0; p < n_pairs; p++) {
    int32_t n = 0;
    for (int32_t i = 0; i < from.count[p]; i++) {
      const int32_t k = from.k[p * from.room + i];
      to.k[p * to.room + n] = k;
      n += is_kept[k];
    }
    to.count[p] = n;
  }
}

// Vectors of the next block of columns; blocks of about one size.
template <class T> inline int block_vectors(int64_t n_columns_left) {
  const int64_t vectors = (n_columns_left + Vec<T>::width - 1) / Vec<T>::width;
  const int64_t blocks = (vectors + SPARSE_VECTORS - 1) / SPARSE_VECTORS;
  return (int)((vectors + blocks - 1) / blocks);
}

template <class T, int nv>
void pair_of_rows(const T* first, const T* second, int64_t a_column, const int32_t* k_of, int64_t n_k, const T* packed,
                  T* to) {
  typedef Vec<T> V;
  typename V::type one[nv], two[nv];
#pragma GCC unroll 8
  for (int v = 0; v < nv; v++) one[v] = two[v] = V::zero();
  for (int64_t i = 0; i < n_k; i++) {
    const int64_t k = k_of[i];
    const T* at = packed + k * block_row<T>();
    const typename V::type a = V::set(first[k * a_column]), b = V::set(second[k * a_column]);
#pragma GCC unroll 8
    for (int v = 0; v < nv; v++) {
      typename V::type right = V::load(at + v * V::width);
      KEEP_IN_REGISTER(right);
      one[v] = V::fma(a, right, one[v]);
      two[v] = V::fma(b, right, two[v]);
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < nv; v++) {
    V::store(to + v * V::width, one[v]);
    V::store(to + block_row<T>() + v * V::width, two[v]);
  }
}

// A block of A B: rows of A at m * a_row, their elements at k * a_column, B packed; C has block_row elements a row, and
// one row more where the number of rows is odd.
template <class T>
void sparse_block(int nv, int64_t n_rows, PairTerms terms, const T* a, int64_t a_row, int64_t a_column, const T* packed,
                  T* c) {
  typedef void (*Rows)(const T*, const T*, int64_t, const int32_t*, int64_t, const T*, T*);
  static const Rows rows_of[SPARSE_VECTORS] = {pair_of_rows<T, 1>, pair_of_rows<T, 2>, pair_of_rows<T, 3>,
                                               pair_of_rows<T, 4>, pair_of_rows<T, 5>, pair_of_rows<T, 6>};
  for (int64_t m = 0; m < n_rows; m += 2) {
    const T *first = a + m * a_row, *second = m + 1 < n_rows ? first + a_row : first;
    rows_of[nv - 1](first, second, a_column, terms.k + m / 2 * terms.room, terms.count[m / 2], packed,
                    c + m * block_row<T>());
  }
}

}  // namespace
