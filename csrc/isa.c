/* The choice among the instruction sets that this build has. */
#include "block.h"
#include "code.h"

const fg_lanes *fg_lanes_of(unsigned number)
{
    const fg_lanes *available[3];
    unsigned n = 0;
#if FG_X86_LANES
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma"))
        available[n++] = &fg_lanes_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        available[n++] = &fg_lanes_avx2;
#endif
    available[n++] = &fg_lanes_baseline;
    return number < n ? available[number] : NULL;
}

const char *fg_isa(unsigned number)
{
    const fg_lanes *lanes = fg_lanes_of(number);
    return lanes ? lanes->name : NULL;
}
