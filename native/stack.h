// A stack of dense networks that train together: K trials x N networks of one shape, fully connected, ReLU between the
// layers, cross entropy at the end. The caller owns all tensors; a stack only knows where they lie.
//
// Legend, as in s2e/train: K trials, N networks per trial, G = K N, B samples of a mini-batch, M mini-batches, C classes.
#pragma once
#include <stdint.h>

extern "C" {

// What does not change between calls. Tensors are contiguous, of the stack's type (float or double).
typedef struct {
  int32_t is_double;
  int32_t n_trials, n_networks, n_layers, batch;
  const int64_t* sizes;  // [layers + 1]: inputs, hidden units, classes
  void** weight;         // [layers] of [G, out, in]
  void** bias;           // [layers] of [G, out]
  void** weight_first;   // Adam's first moments, or SGD's momentum (null without), like weight
  void** weight_second;  // Adam's second moments, else null
  void** bias_first;
  void** bias_second;
  const void* images;  // [S, inputs]
  int32_t image_type;  // 0: bytes, 1: float, 2: double
  double max_value;    // an input is (image / max_value - mean) / deviation
  const void* mean;    // [inputs] of the stack's type, or null
  const void* deviation;
  int32_t n_orders;     // 1 where trials share their batches, else K
  int32_t is_half;      // the first layer multiplies in bfloat16; kernels without it ignore this
  int32_t looks_first;  // forward and backward are called, not epoch: all networks' units are kept between the two
} s2e_stack_spec;

typedef struct {
  int32_t is_adam;
  double step_size, beta1, beta2, epsilon, weight_decay, momentum;
  int64_t steps_done;
} s2e_optimizer;

// A whole epoch of a method that weighs a sample by the rank of its loss in the batch.
typedef struct {
  int64_t n_steps;
  const int64_t* row;    // [M, orders, B]: which image
  const int64_t* label;  // [M, K, B]
  const void* by_rank;   // [K, B]: the weight of the sample with the smallest loss, the next, ...
  int32_t is_uniform;    // all weights of a trial are equal: no ranks are needed
  int32_t exchanges;     // ranks are the other network's (N = 2)
  void* loss;            // out [M, K, N]: sum of weight x loss
  void* weight;          // out [M, K, N, B]
  int16_t* predicted;    // out [M, K, N, B]
  void* margin;          // out [M, K, N, B]: the label's logit minus the largest other one; null: not wanted
} s2e_epoch;

// The predictions of the first n_samples images, N + 1 for each trial: of its networks, and of the sum of their logits.
typedef struct {
  int64_t n_samples;
  int16_t* predicted;  // out [K, N + 1, S]
  uint8_t* finite;     // out [K]: whether every logit was a number
} s2e_prediction;

// Images [B, H, W, channels] of floats, or of bfloat16 numbers.
typedef struct {
  int32_t is_half, relu;
  int64_t n_images, height, width, n_channels;
  const void* from;  // images, or on the way back the gradient of what was pooled
  void* to;          // [B, H / 2, W / 2, channels], or on the way back [B, H, W, channels]
  uint8_t* which;    // [B, H / 2, W / 2, channels]: written, or on the way back read
} s2e_pool;

typedef struct {
  void* (*make)(const s2e_stack_spec*);
  void (*epoch)(void*, const s2e_optimizer*, const s2e_epoch*);
  void (*forward)(void*, const int64_t* row, void* logits);
  void (*backward)(void*, const s2e_optimizer*, const void* logits_gradient, const uint8_t* skip);
  void (*predict)(void*, const s2e_prediction*);
  void (*drop)(void*);
  void (*pool)(const s2e_pool*);
  void (*pool_back)(const s2e_pool*);
} s2e_kernels;
}
