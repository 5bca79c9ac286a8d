// Which of the compiled instruction sets this processor has. Compiled for the plainest processor of its kind.
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "stack.h"

#define EXPORTED __attribute__((visibility("default")))

extern "C" {
#ifdef S2E_AMX
extern const s2e_kernels s2e_amx;
#endif
#ifdef S2E_AVX512BF16
extern const s2e_kernels s2e_avx512bf16;
#endif
#ifdef S2E_AVX512
extern const s2e_kernels s2e_avx512;
#endif
#ifdef S2E_AVX2
extern const s2e_kernels s2e_avx2;
#endif
#ifdef S2E_NEON
extern const s2e_kernels s2e_neon;
#endif

#if defined(__x86_64__)
static bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static bool has_avx512bf16() {
  unsigned a, b, c, d;
  return has_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}

// The processor has AMX with bfloat16, and the kernel lets this process use its tiles.
static bool has_amx() {
#if defined(__linux__)
  unsigned a, b, c, d;
  if (!has_avx512bf16() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & 1) || !(d >> 24 & 1)) return false;
  const long arch_req_xcomp_perm = 0x1023, tile_data = 18;
  return !syscall(SYS_arch_prctl, arch_req_xcomp_perm, tile_data);
#else
  return false;
#endif
}
#endif

// The kernels of an instruction set; null where it was not compiled or the processor lacks it.
EXPORTED const s2e_kernels* s2e_kernels_of(const char* name) {
#if defined(__x86_64__)
  __builtin_cpu_init();
#endif
#ifdef S2E_AMX
  if (!strcmp(name, "amx") && has_amx()) return &s2e_amx;
#endif
#ifdef S2E_AVX512BF16
  if (!strcmp(name, "avx512bf16") && has_avx512bf16()) return &s2e_avx512bf16;
#endif
#ifdef S2E_AVX512
  if (!strcmp(name, "avx512") && has_avx512()) return &s2e_avx512;
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
EXPORTED int32_t s2e_interface() { return 2; }
}
