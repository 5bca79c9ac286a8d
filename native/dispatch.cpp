// Which of the compiled instruction sets this processor has. Compiled for the plainest processor of its kind.
#include <string.h>

#include "stack.h"

#define EXPORTED __attribute__((visibility("default")))

extern "C" {
#ifdef S2E_AVX512
extern const s2e_kernels s2e_avx512;
#endif
#ifdef S2E_AVX2
extern const s2e_kernels s2e_avx2;
#endif
#ifdef S2E_NEON
extern const s2e_kernels s2e_neon;
#endif

// The kernels of an instruction set; null where it was not compiled or the processor lacks it.
EXPORTED const s2e_kernels* s2e_kernels_of(const char* name) {
#if defined(__x86_64__)
  __builtin_cpu_init();
#endif
#ifdef S2E_AVX512
  if (!strcmp(name, "avx512") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return &s2e_avx512;
#endif
#ifdef S2E_AVX2
  if (!strcmp(name, "avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &s2e_avx2;
#endif
#ifdef S2E_NEON
  if (!strcmp(name, "neon")) return &s2e_neon;
#endif
  return nullptr;
}

// Counts the changes of stack.h: a library of another number is not loaded.
EXPORTED int32_t s2e_interface() { return 1; }
}
