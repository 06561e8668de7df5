/* The lane stream for what every machine of the architecture has. */
#if defined(__GNUC__) && (defined(__SSE2__) || defined(__aarch64__))
#define FG_VECTOR 2
#else
#define FG_VECTOR 1
#endif
#if defined(__aarch64__)
#if FG_VECTOR > 1
#include <arm_neon.h>
#endif
#define FG_HAS_FMA 1
#define FG_LANES_NAME "neon"
#else
#define FG_HAS_FMA 0
#define FG_LANES_NAME "baseline"
#endif
#define FG_LANES fg_lanes_baseline
#include "lanes.h"
