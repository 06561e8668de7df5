/* Our own functions for machines without fused multiply-add: own.h. */
#define FG_OWN(name) fg_plain_##name
#include "own.h"

#if FG_OWN_CALLED
#include "lane_math.h"
FG_OWN_FUNCTIONS(FG_DEFINE1, FG_DEFINE2)
#else
#include <math.h> /* a file is not empty */
#endif
