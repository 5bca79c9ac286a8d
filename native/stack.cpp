// Compiled once for each instruction set (build.py); everything but the table at the end has internal linkage, so that
// the linker cannot mix their code.
#include "stack.h"

#include <new>
#include <stdlib.h>

#include "gemm.h"
#include "half.h"
#include "pool.h"
#include "rows.h"
#include "sparse.h"

namespace {

// What happens to a vector of the product: plus bias, and cut at zero in hidden layers.
template <class T, bool hidden> struct Activate {
  typedef Vec<T> V;
  const T* bias;
  T* to;
  int64_t to_row;
  template <int n> void prefetch(int64_t, int, int64_t) {}
  void operator()(int64_t m, int64_t n, int, typename V::type x) {
    x = V::add(x, V::set(bias[m]));
    if (hidden) x = V::max(V::set(0), x);
    V::store(to + m * to_row + n, x);
  }
};

// The gradient of a hidden layer's input to ReLU: the product where the unit was positive.
template <class T> struct ThroughRelu {
  typedef Vec<T> V;
  const T* hidden;
  T* to;
  int64_t row;
  template <int n> void prefetch(int64_t, int, int64_t) {}
  void operator()(int64_t m, int64_t n, int, typename V::type x) {
    const int64_t at = m * row + n;
    V::store(to + at, V::where_positive(V::load(hidden + at), x));
  }
};

// One optimiser step of a weight, given its gradient.
template <class T> struct Optimize {
  typedef Vec<T> V;
  T *weight, *first, *second;
  int64_t row;
  bool is_adam;
  typename V::type decay, keep1, take1, keep2, take2, scale, epsilon, minus_step;

  Optimize(const s2e_optimizer& o, T* weight, T* first, T* second, int64_t row)
      : weight(weight), first(first), second(second), row(row), is_adam(o.is_adam) {
    const double t = (double)(o.steps_done + 1);
    decay = V::set((T)o.weight_decay);
    keep1 = V::set((T)(o.is_adam ? o.beta1 : o.momentum));
    take1 = V::set((T)(1 - o.beta1));
    keep2 = V::set((T)o.beta2);
    take2 = V::set((T)(1 - o.beta2));
    scale = V::set((T)(1 / ::sqrt(1 - pow(o.beta2, t))));
    epsilon = V::set((T)o.epsilon);
    minus_step = V::set((T)(o.is_adam ? -o.step_size / (1 - pow(o.beta1, t)) : -o.step_size));
  }
  template <int n> void prefetch(int64_t m0, int rows, int64_t n0) {
    for (int r = 0; r < rows; r++)
      for (int i = 0; i < n; i += 64 / (int)sizeof(T)) {
        const int64_t at = (m0 + r) * row + n0 + i;
        __builtin_prefetch(weight + at, 1);
        if (first) __builtin_prefetch(first + at, 1);
        if (second) __builtin_prefetch(second + at, 1);
      }
  }
  void operator()(int64_t m, int64_t n, int count, typename V::type gradient) {
    const int64_t at = m * row + n;
    if (count == V::width)
      step(at, gradient, [](const T* p) { return V::load(p); }, [](T* p, typename V::type x) { V::store(p, x); });
    else
      step(at, gradient, [count](const T* p) { return V::load(p, count); },
           [count](T* p, typename V::type x) { V::store(p, x, count); });
  }
  template <class Load, class Store>
  __attribute__((always_inline)) void step(int64_t at, typename V::type g, Load load, Store store) {
    typename V::type w = load(weight + at);
    g = V::fma(decay, w, g);
    if (is_adam) {
      const typename V::type m = V::fma(take1, g, V::mul(keep1, load(first + at)));
      const typename V::type v = V::fma(V::mul(take2, g), g, V::mul(keep2, load(second + at)));
      store(first + at, m);
      store(second + at, v);
      g = V::div(m, V::fma(V::sqrt(v), scale, epsilon));
    } else if (first) {
      g = V::fma(keep1, load(first + at), g);
      store(first + at, g);
    }
    store(weight + at, V::fma(minus_step, g, w));
  }
};

#if defined(S2E_PAIRS)
// The product itself, in rows that are full vectors long.
struct Keep {
  typedef Vec<float> V;
  float* to;
  int64_t row;
  template <int n> void prefetch(int64_t, int, int64_t) {}
  void operator()(int64_t m, int64_t n, int, typename V::type x) { V::store(to + m * row + n, x); }
};

// The same, and the weight's copy in bfloat16 moves along.
struct OptimizeBoth : Optimize<float> {
  uint16_t* half;
  int64_t half_row;
  OptimizeBoth(const Optimize<float>& whole, uint16_t* half, int64_t half_row)
      : Optimize<float>(whole), half(half), half_row(half_row) {}
  void operator()(int64_t m, int64_t n, int count, typename V::type gradient) {
    Optimize<float>::operator()(m, n, count, gradient);
    const __mmask16 valid = V::first(count);
    const __m256i rounded = (__m256i)_mm512_cvtneps_pbh(V::load(weight + m * row + n, count));
    _mm256_mask_storeu_epi16(half + m * half_row + n, valid, rounded);
  }
};
#endif

inline int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }

template <class T> class Stack {
 public:
  explicit Stack(const s2e_stack_spec& spec) : s(spec) {}

  // False without memory.
  bool allocate() {
    sizes = (int64_t*)malloc((s.n_layers + 1) * sizeof(int64_t));
    if (!sizes) return false;
    memcpy(sizes, s.sizes, (s.n_layers + 1) * sizeof(int64_t));
    for (void*** all : tensors())
      if (!copy(all)) return false;
    batch_row = padded(s.batch);
    n_units = 0;
    for (int l = 1; l <= s.n_layers; l++) n_units += sizes[l];
    const int64_t n_bytes = lay_out() * sizeof(T);
    memory = (T*)aligned_alloc(64, n_bytes);
    if (!memory) return false;
    memset(memory, 0, n_bytes);
    lay_out();
#if defined(S2E_PAIRS)
    if (s.is_half) copy_weights();
#endif
    return true;
  }

  ~Stack() {
    free(memory);
    free(sizes);
    for (void*** all : tensors()) free(*all);
  }

  void epoch(s2e_optimizer optimizer, const s2e_epoch& e) {
    const int64_t per_step = (int64_t)s.n_trials * s.n_networks;
    for (int64_t step = 0; step < e.n_steps; step++, optimizer.steps_done++) {
      gather(e.row + step * s.n_orders * s.batch);
      for (int32_t k = 0; k < s.n_trials; k++) {
        const int64_t at = step * per_step + k * s.n_networks;
        trial(k, optimizer, e, e.label + (step * s.n_trials + k) * s.batch, at);
      }
    }
  }

  void forward(const int64_t* row, T* logits) {
    const int64_t n_classes = sizes[s.n_layers];
    gather(row);
    for (int32_t g = 0; g < s.n_trials * s.n_networks; g++) {
      forward(g);
      transpose(of(g, s.n_layers), n_classes, s.batch, batch_row, logits + g * s.batch * n_classes, n_classes);
    }
  }

  void backward(const s2e_optimizer& optimizer, const T* logits_gradient, const uint8_t* skip) {
    const int64_t n_classes = sizes[s.n_layers];
    for (int32_t g = 0; g < s.n_trials * s.n_networks; g++) {
      if (skip && skip[g]) continue;
      transpose(logits_gradient + g * s.batch * n_classes, s.batch, n_classes, n_classes, gradient, batch_row);
      backward(g, optimizer);
    }
  }

  void predict(const s2e_prediction& p) {
    const int64_t n_classes = sizes[s.n_layers];
    for (int32_t k = 0; k < s.n_trials; k++) p.finite[k] = 1;
    for (int64_t first = 0; first < p.n_samples; first += s.batch) {
      const int64_t count = p.n_samples - first < s.batch ? p.n_samples - first : s.batch;
      gather_from(first, count);
      for (int32_t k = 0; k < s.n_trials; k++) {
        int16_t* predicted = p.predicted + k * (s.n_networks + 1) * p.n_samples + first;
        for (int32_t n = 0; n < s.n_networks; n++) {
          forward(k * s.n_networks + n);
          T* z = of(k * s.n_networks + n, s.n_layers);
          largest(z, n_classes, predicted + n * p.n_samples, count);
          if (!all_finite(z, n_classes, count)) p.finite[k] = 0;
          T* total = next_gradient;
          for (int64_t i = 0; i < n_classes * batch_row; i++) total[i] = n ? total[i] + z[i] : z[i];
        }
        largest(next_gradient, n_classes, predicted + s.n_networks * p.n_samples, count);
      }
    }
  }

 private:
  s2e_stack_spec s;
  int64_t batch_row, n_units;
  int64_t* sizes = nullptr;
  T* memory = nullptr;
  T *x, *x_transposed, *units, *gradient, *next_gradient, *transposed, *bias_gradient, *loss, *best;
  T *packed, *block, *some_rows;  // of the first layer's products where most inputs are zero
  int32_t *order, *label, *argbest, *kept, *is_kept;
  int64_t n_kept;                // samples of the batch whose logits have a gradient
  enum { unknown, dense, sparse } inputs = unknown;
  PairTerms inputs_of_samples, samples_of_inputs, kept_of_inputs;
  char* scratch;
#if defined(S2E_PAIRS)
  Pair *pairs_of_inputs, *pairs_of_samples, *half_gradient, *half_weight;

  Pair* half_weight_of(int32_t g) const { return half_weight + g * tiled(sizes[1]) * tiled(sizes[0]) / 2; }

  void copy_weights() {
    const int64_t n_in = sizes[0], n_out = sizes[1];
    for (int32_t g = 0; g < s.n_trials * s.n_networks; g++)
      for (int64_t o = 0; o < n_out; o++) {
        const float* from = (const float*)s.weight[0] + (g * n_out + o) * n_in;
        uint16_t* to = (uint16_t*)half_weight_of(g) + o * tiled(n_in);
        for (int64_t i = 0; i < n_in; i++) to[i] = half_of(from[i]);
      }
  }

  // x of one data order in pairs of inputs [inputs / 2, B] and in pairs of samples [B / 2, inputs].
  void pair_up(int32_t o, int64_t count) {
    const int64_t n_in = sizes[0], x_row = padded(n_in), wide = tiled(n_in), deep = tiled(s.batch);
    const float* mine = (const float*)x + o * s.batch * x_row;
    Pair* by_samples = pairs_of_samples + o * deep / 2 * wide;
    for (int64_t b = 0; b + 1 < count; b += 2) {
      const float *first = mine + b * x_row, *second = first + x_row;
      Pair* to = by_samples + b / 2 * wide;
      for (int64_t i = 0; i < n_in; i++) to[i].both = pair_of(first[i], second[i]);
    }
    if (count % 2)
      for (int64_t i = 0; i < n_in; i++)
        by_samples[count / 2 * wide + i].both = pair_of(mine[(count - 1) * x_row + i], 0);
    for (int64_t b = 0; b < count; b++)  // inputs past the last are zero
      for (int64_t i = 0; i < x_row; i += 2)
        ((Pair*)x_transposed)[b * x_row / 2 + i / 2].both = pair_of(mine[b * x_row + i], mine[b * x_row + i + 1]);
    transpose((const float*)x_transposed, count, x_row / 2, x_row / 2, (float*)pairs_of_inputs + o * wide / 2 * deep,
              deep);
  }

  void forward_half(int32_t g, float* to) {
    const int64_t wide = tiled(sizes[0]), deep = tiled(s.batch), n_out = sizes[1];
    const float* bias = (const float*)s.bias[0] + g * n_out;
    const Pair* input = pairs_of_inputs + order_index(g) * wide / 2 * deep;
    if (s.n_layers > 1)
      gemm_pairs(n_out, batch_row, wide / 2, half_weight_of(g), wide / 2, input, deep,
                 Activate<float, true>{bias, to, batch_row});
    else
      gemm_pairs(n_out, batch_row, wide / 2, half_weight_of(g), wide / 2, input, deep,
                 Activate<float, false>{bias, to, batch_row});
  }

  void move_first_half(int32_t g, const s2e_optimizer& optimizer) {
    const int64_t n_in = sizes[0], n_out = sizes[1], wide = tiled(n_in), deep = tiled(s.batch);
    for (int64_t o = 0; o < n_out; o++) {
      uint16_t* to = (uint16_t*)half_gradient + o * deep;
      for (int64_t b = 0; b < s.batch; b++) to[b] = half_of((float)gradient[o * batch_row + b]);
    }
    const Optimize<float> whole(optimizer, (float*)tensor(s.weight, 0, g, n_out * n_in),
                                (float*)tensor(s.weight_first, 0, g, n_out * n_in),
                                (float*)tensor(s.weight_second, 0, g, n_out * n_in), n_in);
    const Pair* input = pairs_of_samples + order_index(g) * deep / 2 * wide;
    OptimizeBoth optimize(whole, (uint16_t*)half_weight_of(g), wide);
    for (int64_t m0 = 0; m0 < n_out; m0 += TILE) {
      const int64_t rows = n_out - m0 < TILE ? n_out - m0 : TILE;
      const Keep keep{(float*)some_rows, wide};
      gemm_pairs(rows, n_in, deep / 2, half_gradient + m0 * deep / 2, deep / 2, input, wide, keep);
      move_rows(m0, rows, n_in, wide, (const float*)some_rows, optimize);
    }
  }
#endif

  struct Tensors {
    void*** all[6];
    void**** begin() { return all; }
    void**** end() { return all + 6; }
  };
  Tensors tensors() {
    return {{&s.weight, &s.bias, &s.weight_first, &s.weight_second, &s.bias_first, &s.bias_second}};
  }
  bool copy(void*** pointers) {
    if (!*pointers) return true;
    void** mine = (void**)malloc(s.n_layers * sizeof(void*));
    if (mine) memcpy(mine, *pointers, s.n_layers * sizeof(void*));
    *pointers = mine;
    return mine;
  }

  // Where everything lies in ``memory``; the number of elements, also while there is no memory yet.
  int64_t lay_out() {
    int64_t used = 0, widest = 0;
    const auto take = [&](int64_t n) {
      T* mine = memory ? memory + used : nullptr;
      used += padded(n);
      return mine;
    };
    for (int l = 1; l <= s.n_layers; l++) widest = sizes[l] > widest ? sizes[l] : widest;
    x = take(s.n_orders * s.batch * padded(sizes[0]));
    x_transposed = take(s.n_orders * sizes[0] * batch_row);
    units = take((s.looks_first ? s.n_trials : 1) * s.n_networks * n_units * batch_row);
    gradient = take(widest * batch_row);
    next_gradient = take(widest * batch_row);
    transposed = take(s.batch * padded(widest));
    bias_gradient = take(widest);
    loss = take(s.n_networks * s.batch);
    best = take(s.batch);
    order = (int32_t*)take(s.batch);
    label = (int32_t*)take(s.batch);
    argbest = (int32_t*)take(s.batch);
    kept = (int32_t*)take(s.batch);
    is_kept = (int32_t*)take(s.batch);
    const int64_t longest = padded(sizes[0]) > batch_row ? padded(sizes[0]) : batch_row;
    packed = take(longest * block_row<T>());
    block = take(longest * block_row<T>());
    some_rows = take(longest * block_row<T>());
    const auto take_terms = [&](int64_t n_pairs, int64_t room) {
      return PairTerms{(int32_t*)take(n_pairs * room), (int32_t*)take(n_pairs), room};
    };
    inputs_of_samples = take_terms(s.n_orders * ((s.batch + 1) / 2), sizes[0]);
    samples_of_inputs = take_terms(s.n_orders * ((sizes[0] + 1) / 2), s.batch);
    kept_of_inputs = take_terms((sizes[0] + 1) / 2, s.batch);
    scratch = (char*)take(3 * s.batch);
#if defined(S2E_PAIRS)
    if (s.is_half) {
      const int64_t wide = tiled(sizes[0]), deep = tiled(s.batch);
      pairs_of_inputs = (Pair*)take(s.n_orders * wide / 2 * deep);
      pairs_of_samples = (Pair*)take(s.n_orders * deep / 2 * wide);
      some_rows = take(TILE * wide);
      half_gradient = (Pair*)take(tiled(sizes[1]) * deep / 2);
      half_weight = (Pair*)take((int64_t)s.n_trials * s.n_networks * tiled(sizes[1]) * wide / 2);
    }
#endif
    return used;
  }

  int32_t order_index(int32_t g) const { return s.n_orders == 1 ? 0 : g / s.n_networks; }
  T* of(int32_t g, int layer) const {  // units of a layer [out, B], for the last one its logits
    int64_t before = 0;
    for (int l = 1; l < layer; l++) before += sizes[l];
    const int32_t slot = s.looks_first ? g : g % s.n_networks;
    return units + (slot * n_units + before) * batch_row;
  }
  T* tensor(void** all, int layer, int32_t g, int64_t size) const { return all ? (T*)all[layer] + g * size : nullptr; }

  void gather(const int64_t* row) {
    const int64_t n_inputs = sizes[0], x_row = padded(n_inputs);
    for (int32_t o = 0; o < s.n_orders; o++) {
      T* mine = x + o * s.batch * x_row;
      for (int32_t b = 0; b < s.batch; b++) read(row[o * s.batch + b], mine + b * x_row);
      lay_down(o, s.batch);
    }
  }

  // x of one data order the other way round, as the first product reads it.
  void lay_down(int32_t o, int64_t count) {
#if defined(S2E_PAIRS)
    if (s.is_half) return pair_up(o, count);
#endif
    const int64_t n_inputs = sizes[0], x_row = padded(n_inputs);
    const T* mine = x + o * s.batch * x_row;
    if (inputs != dense) {
      const double share = list_inputs(mine, x_row, s.batch, n_inputs, of_order(inputs_of_samples, o, s.batch));
      if (inputs == unknown) inputs = share < MOST_TERMS ? sparse : dense;
    }
    if (inputs == sparse)
      list_samples(mine, x_row, s.batch, n_inputs, of_order(samples_of_inputs, o, n_inputs));
    else
      transpose(mine, count, n_inputs, x_row, x_transposed + o * n_inputs * batch_row, batch_row);
  }

  static PairTerms of_order(PairTerms all, int32_t o, int64_t n_rows) {
    const int64_t first = o * ((n_rows + 1) / 2);
    return {all.k + first * all.room, all.count + first, all.room};
  }

  void gather_from(int64_t first, int64_t count) {
    const int64_t x_row = padded(sizes[0]);
    for (int64_t b = 0; b < count; b++) read(first + b, x + b * x_row);
    lay_down(0, count);
  }

  void read(int64_t image, T* to) {
    const int64_t n = sizes[0], at = image * n;
    switch (s.image_type) {
      case 0: scale((const uint8_t*)s.images + at, to, n); break;
      case 1: scale((const float*)s.images + at, to, n); break;
      default: scale((const double*)s.images + at, to, n); break;
    }
  }
  template <class Pixel> void scale(const Pixel* from, T* to, int64_t n) {
    const T most = (T)s.max_value;
    for (int64_t i = 0; i < n; i++) to[i] = (T)from[i] / most;
    if (s.mean) {
      const T *mean = (const T*)s.mean, *deviation = (const T*)s.deviation;
      for (int64_t i = 0; i < n; i++) to[i] = (to[i] - mean[i]) / deviation[i];
    }
  }

  void forward(int32_t g) {
    const T* input = x_transposed + order_index(g) * sizes[0] * batch_row;
    for (int l = 0; l < s.n_layers; l++) {
      const int64_t n_in = sizes[l], n_out = sizes[l + 1];
      const T* weight = tensor(s.weight, l, g, n_out * n_in);
      const T* bias = tensor(s.bias, l, g, n_out);
      T* to = of(g, l + 1);
#if defined(S2E_PAIRS)
      if (s.is_half && l == 0) {
        forward_half(g, (float*)to);
        input = to;
        continue;
      }
#endif
      if (l + 1 < s.n_layers)
        activate(l, g, input, weight, Activate<T, true>{bias, to, batch_row});
      else
        activate(l, g, input, weight, Activate<T, false>{bias, to, batch_row});
      input = to;
    }
  }

  template <class Epilogue> void activate(int l, int32_t g, const T* input, const T* weight, Epilogue epilogue) {
    if (l == 0 && inputs == sparse)
      activate_sparse(g, weight, epilogue);
    else
      gemm(sizes[l + 1], batch_row, Terms{sizes[l], nullptr}, weight, sizes[l], (int64_t)1, input, batch_row, epilogue);
  }

  template <class Epilogue> void activate_sparse(int32_t g, const T* weight, Epilogue epilogue) {
    typedef Vec<T> V;
    const int64_t n_in = sizes[0], n_out = sizes[1], x_row = padded(n_in);
    const int32_t o = order_index(g);
    const PairTerms terms = of_order(inputs_of_samples, o, s.batch);
    for (int64_t first = 0; first < n_out;) {
      const int nv = block_vectors<T>(n_out - first);
      const int64_t count = n_out - first < nv * V::width ? n_out - first : nv * V::width;
      transpose(weight + first * n_in, count, n_in, n_in, packed, block_row<T>());
      sparse_block(nv, s.batch, terms, x + o * s.batch * x_row, x_row, (int64_t)1, packed, block);
      transpose(block, batch_row, count, block_row<T>(), some_rows, batch_row);
      for (int64_t m = 0; m < count; m++)
        for (int64_t b = 0; b < batch_row; b += V::width)
          epilogue(first + m, b, V::width, V::load(some_rows + m * batch_row + b));
      first += count;
    }
  }

  void trial(int32_t k, const s2e_optimizer& optimizer, const s2e_epoch& e, const int64_t* label_B, int64_t at) {
    const int32_t batch = s.batch;
    T* weight_NB = (T*)e.weight + at * batch;
    for (int32_t b = 0; b < batch; b++) label[b] = (int32_t)label_B[b];
    for (int32_t n = 0; n < s.n_networks; n++) {
      forward(k * s.n_networks + n);
      T* z = of(k * s.n_networks + n, s.n_layers);
      if (e.margin) margins(z, (T*)e.margin + (at + n) * batch);
      softmax(z, loss + n * batch, e.predicted + (at + n) * batch);
    }
    const T* by_rank = (const T*)e.by_rank + (int64_t)k * batch;
    for (int32_t n = 0; n < s.n_networks; n++) {
      T* weight = weight_NB + (e.exchanges ? s.n_networks - 1 - n : n) * batch;
      if (e.is_uniform) {
        for (int32_t b = 0; b < batch; b++) weight[b] = by_rank[0];
        continue;
      }
      order_of(loss + n * batch, batch, order, scratch);
      for (int32_t r = 0; r < batch; r++) weight[order[r]] = by_rank[r];
    }
    for (int32_t n = 0; n < s.n_networks; n++) {
      const int32_t g = k * s.n_networks + n;
      const T* weight = weight_NB + n * batch;
      double total = 0;
      for (int32_t b = 0; b < batch; b++) total += (double)(weight[b] * loss[n * batch + b]);
      ((T*)e.loss)[at + n] = (T)total;
      of_logits(of(g, s.n_layers), weight);
      backward(g, optimizer);
    }
  }

  // The class of the largest logit of each sample, the first of equal ones; the logit stays in ``best``.
  void largest(const T* z, int64_t n_classes, int16_t* predicted, int64_t count) {
    for (int64_t b = 0; b < count; b++) best[b] = z[b], argbest[b] = 0;
    for (int64_t c = 1; c < n_classes; c++) {
      const T* z_B = z + c * batch_row;
      for (int64_t b = 0; b < count; b++) {
        argbest[b] = z_B[b] > best[b] ? (int32_t)c : argbest[b];
        best[b] = z_B[b] > best[b] ? z_B[b] : best[b];
      }
    }
    for (int64_t b = 0; b < count; b++) predicted[b] = (int16_t)argbest[b];
  }

  // The logit of each sample's label minus the largest other one.
  void margins(const T* z, T* margin) {
    const int64_t n_classes = sizes[s.n_layers], batch = s.batch;
    const T lowest = -__builtin_huge_valf();
    for (int64_t b = 0; b < batch; b++) best[b] = lowest;
    for (int64_t c = 0; c < n_classes; c++) {
      const T* z_B = z + c * batch_row;
      for (int64_t b = 0; b < batch; b++) {
        const T other = label[b] == c ? lowest : z_B[b];
        best[b] = other > best[b] ? other : best[b];
      }
    }
    for (int64_t b = 0; b < batch; b++) margin[b] = z[label[b] * batch_row + b] - best[b];
  }

  bool all_finite(const T* z, int64_t n_classes, int64_t count) {
    T zero = 0;
    for (int64_t c = 0; c < n_classes; c++)
      for (int64_t b = 0; b < count; b++) zero += z[c * batch_row + b] * 0;
    return zero == 0;
  }

  // Cross entropy of each sample and the predicted class; logits [C, B] become probabilities.
  void softmax(T* z, T* loss_B, int16_t* predicted) {
    const int64_t n_classes = sizes[s.n_layers], batch = s.batch;
    largest(z, n_classes, predicted, batch);
    for (int64_t b = 0; b < batch; b++) loss_B[b] = best[b] - z[label[b] * batch_row + b];
    T* total = next_gradient;
    for (int64_t b = 0; b < batch; b++) total[b] = 0;
    for (int64_t c = 0; c < n_classes; c++) {
      T* z_B = z + c * batch_row;
      for (int64_t b = 0; b < batch; b++) {
        z_B[b] = exp_negative(z_B[b] - best[b]);
        total[b] += z_B[b];
      }
    }
    for (int64_t b = 0; b < batch; b++) {
      loss_B[b] += log_above_one(total[b]);
      total[b] = 1 / total[b];
    }
    for (int64_t c = 0; c < n_classes; c++) {
      T* z_B = z + c * batch_row;
      for (int64_t b = 0; b < batch; b++) z_B[b] *= total[b];
    }
  }

  // gradient = weight (p - 1[label])
  void of_logits(const T* p, const T* weight) {
    const int64_t n_classes = sizes[s.n_layers];
    for (int64_t c = 0; c < n_classes; c++)
      for (int64_t b = 0; b < s.batch; b++)
        gradient[c * batch_row + b] = weight[b] * (p[c * batch_row + b] - (label[b] == c ? (T)1 : (T)0));
  }

  // From the gradient of network g's logits [C, B] to its next weights.
  void backward(int32_t g, const s2e_optimizer& optimizer) {
    list_kept_samples();
    for (int l = s.n_layers - 1; l >= 0; l--) {
      const int64_t n_in = sizes[l], n_out = sizes[l + 1];
      T* weight = tensor(s.weight, l, g, n_out * n_in);
      const T* input_BI = x + order_index(g) * s.batch * padded(n_in);
      if (l > 0) {
        gemm(n_in, batch_row, Terms{n_out, nullptr}, weight, (int64_t)1, n_in, gradient, batch_row,
             ThroughRelu<T>{of(g, l), next_gradient, batch_row});
        transpose(of(g, l), n_in, s.batch, batch_row, transposed, padded(n_in));
        input_BI = transposed;
      }
      move_weight(l, g, optimizer, input_BI);
      for (int64_t o = 0; o < n_out; o++) bias_gradient[o] = sum(gradient + o * batch_row, s.batch);
      move_bias(l, g, optimizer);
      T* done = gradient;
      gradient = next_gradient;
      next_gradient = done;
    }
  }

  void move_weight(int l, int32_t g, const s2e_optimizer& optimizer, const T* input_BI) {
#if defined(S2E_PAIRS)
    if (s.is_half && l == 0) return move_first_half(g, optimizer);
#endif
    const int64_t n_in = sizes[l], n_out = sizes[l + 1], size = n_in * n_out;
    const Optimize<T> optimize(optimizer, tensor(s.weight, l, g, size), tensor(s.weight_first, l, g, size),
                               tensor(s.weight_second, l, g, size), n_in);
    if (l == 0 && inputs == sparse) return move_sparse(g, optimize);
    const Terms terms{n_kept, n_kept < s.batch ? kept : nullptr};
    gemm(n_out, n_in, terms, gradient, batch_row, (int64_t)1, input_BI, padded(n_in), optimize);
  }

  void move_sparse(int32_t g, Optimize<T> optimize) {
    const int64_t n_in = sizes[0], n_out = sizes[1], x_row = padded(n_in);
    const int32_t o = order_index(g);
    PairTerms terms = of_order(samples_of_inputs, o, n_in);
    if (n_kept < s.batch) {
      list_kept((n_in + 1) / 2, terms, is_kept, kept_of_inputs);
      terms = kept_of_inputs;
    }
    for (int64_t first = 0; first < n_out;) {
      const int nv = block_vectors<T>(n_out - first);
      const int64_t count = n_out - first < nv * Vec<T>::width ? n_out - first : nv * Vec<T>::width;
      transpose(gradient + first * batch_row, count, s.batch, batch_row, packed, block_row<T>());
      sparse_block(nv, n_in, terms, x + o * s.batch * x_row, (int64_t)1, x_row, packed, block);
      transpose(block, n_in, count, block_row<T>(), some_rows, x_row);
      move_rows(first, count, n_in, x_row, some_rows, optimize);
      first += count;
    }
  }

  // Rows of a weight by their gradients: row by row the moments come from memory as fast as it gives them.
  template <class Number, class Move>
  static void move_rows(int64_t first, int64_t count, int64_t n_in, int64_t row, const Number* from, Move& optimize) {
    constexpr int width = Vec<Number>::width;
    for (int64_t m = 0; m < count; m++)
      for (int64_t n = 0; n < n_in; n += width)
        optimize(first + m, n, n_in - n < width ? (int)(n_in - n) : width, Vec<Number>::load(from + m * row + n));
  }

  // Most methods keep a part of a batch, and the others' logits have no gradient; NaN is one.
  void list_kept_samples() {
    n_kept = 0;
    for (int64_t b = 0; b < s.batch; b++) {
      int32_t some = 0;
      for (int64_t c = 0; c < sizes[s.n_layers]; c++) some |= gradient[c * batch_row + b] != 0;
      is_kept[b] = some;
      kept[n_kept] = (int32_t)b;
      n_kept += some;
    }
  }

  void move_bias(int l, int32_t g, const s2e_optimizer& optimizer) {
    const int64_t n_out = sizes[l + 1];
    constexpr int width = Vec<T>::width;
    Optimize<T> optimize(optimizer, tensor(s.bias, l, g, n_out), tensor(s.bias_first, l, g, n_out),
                         tensor(s.bias_second, l, g, n_out), 0);
    for (int64_t o = 0; o < n_out; o += width)
      optimize(0, o, n_out - o < width ? (int)(n_out - o) : width, Vec<T>::load(bias_gradient + o));
  }
};

template <class T> void* make_stack(const s2e_stack_spec& spec) {
  Stack<T>* stack = (Stack<T>*)malloc(sizeof(Stack<T>));
  if (!stack) return nullptr;
  new (stack) Stack<T>(spec);
  if (stack->allocate()) return stack;
  stack->~Stack<T>();
  free(stack);
  return nullptr;
}

struct Handle {
  bool is_double;
  void* stack;
};

template <class Work> void with_stack(void* handle, Work work) {
  Handle* h = (Handle*)handle;
  if (h->is_double)
    work(*(Stack<double>*)h->stack, double());
  else
    work(*(Stack<float>*)h->stack, float());
}

void* make(const s2e_stack_spec* spec) {
  Handle* h = (Handle*)malloc(sizeof(Handle));
  if (!h) return nullptr;
  *h = {spec->is_double != 0, spec->is_double ? make_stack<double>(*spec) : make_stack<float>(*spec)};
  if (h->stack) return h;
  free(h);
  return nullptr;
}

void epoch(void* handle, const s2e_optimizer* optimizer, const s2e_epoch* e) {
  with_stack(handle, [&](auto& stack, auto) { stack.epoch(*optimizer, *e); });
}

void forward(void* handle, const int64_t* row, void* logits) {
  with_stack(handle, [&](auto& stack, auto zero) { stack.forward(row, (decltype(zero)*)logits); });
}

void backward(void* handle, const s2e_optimizer* optimizer, const void* gradient, const uint8_t* skip) {
  with_stack(handle,
             [&](auto& stack, auto zero) { stack.backward(*optimizer, (const decltype(zero)*)gradient, skip); });
}

void predict(void* handle, const s2e_prediction* p) {
  with_stack(handle, [&](auto& stack, auto) { stack.predict(*p); });
}

void drop(void* handle) {
  with_stack(handle, [](auto& stack, auto zero) {
    typedef decltype(zero) T;
    stack.~Stack<T>();
    free(&stack);
  });
  free(handle);
}

template <class T> void pool_of(const s2e_pool& p) {
  pool_forward((const T*)p.from, (T*)p.to, p.which, p.n_images, p.height, p.width, p.n_channels, p.relu);
}
template <class T> void pool_back_of(const s2e_pool& p) {
  pool_backward((const T*)p.from, p.which, (T*)p.to, p.n_images, p.height, p.width, p.n_channels);
}
void pool(const s2e_pool* p) { p->is_half ? pool_of<uint16_t>(*p) : pool_of<float>(*p); }
void pool_back(const s2e_pool* p) { p->is_half ? pool_back_of<uint16_t>(*p) : pool_back_of<float>(*p); }

}  // namespace

extern "C" s2e_kernels S2E_TABLE;
s2e_kernels S2E_TABLE = {make, epoch, forward, backward, predict, drop, pool, pool_back};
